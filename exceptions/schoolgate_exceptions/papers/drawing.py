"""The portal's own pictures (`web.pictures`: boxes, dots, lines and words in SVG) as drawings for paper."""

from xml.etree import ElementTree as ET

from markupsafe import Markup
from reportlab.graphics.shapes import Circle, Drawing, Line, Rect, Shape, String
from reportlab.lib.colors import Color, HexColor

_COLOURS = {
    "--main": "#1f5fae", "--sun": "#ffc94d", "--leaf": "#7cc49a", "--cheek": "#f3a59a", "--edge": "#67788d",
    "--tint": "#e8f1fb", "--line": "#99a7b8",
}  # fmt: skip
_SIZE = 13


def draw(picture: Markup, width: float, font: str, strong: str) -> Drawing:
    """Return a picture at a width in points; its words in a font, the important ones in another."""
    root = ET.fromstring(str(picture))  # noqa: S314 - we drew it ourselves a moment ago
    _, _, wide, tall = (float(part) for part in root.attrib["viewBox"].split())
    drawing = Drawing(wide, tall)
    for element in root:
        drawing.add(_shape(element, tall, font, strong))
    scale = width / wide
    drawing.scale(scale, scale)
    drawing.width, drawing.height = width, tall * scale
    return drawing


def _shape(element: ET.Element, tall: float, font: str, strong: str) -> Shape:
    at = {name: float(element.get(name, "0")) for name in _PLACES}
    match element.tag:
        case "rect":
            box = Rect(at["x"], tall - at["y"] - at["height"], at["width"], at["height"])
            box.fillColor, box.strokeColor = _colour(element, "fill"), None
            return box
        case "circle":
            return Circle(
                at["cx"], tall - at["cy"], at["r"], fillColor=_colour(element, "fill"), strokeColor=None
            )
        case "line":
            return Line(
                at["x1"], tall - at["y1"], at["x2"], tall - at["y2"], strokeColor=_colour(element, "stroke")
            )
        case "text":
            name = strong if element.get("font-weight") else font
            return String(at["x"], tall - at["y"], element.text or "", fontName=name, fontSize=_SIZE)
    raise ValueError(f"a picture has no {element.tag}")


_PLACES = ("x", "y", "width", "height", "cx", "cy", "r", "x1", "y1", "x2", "y2")


def _colour(element: ET.Element, name: str) -> Color:
    return HexColor(_COLOURS[element.get(name, "").removeprefix("var(").removesuffix(")")])
