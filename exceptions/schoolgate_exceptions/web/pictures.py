"""Pictures of counts, drawn here as SVG: no script, nothing fetched, sharp on paper. Pure.

Each picture is for the eye only: the page has the same numbers in a table beside it. The width is that of a telephone,
so that letters stay readable there; on a desk a picture grows.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

_WIDTH = 360
_COLOURS = ("var(--main)", "var(--sun)", "var(--leaf)", "var(--cheek)", "var(--edge)")
_ROW, _LEFT, _RIGHT = 28, 140, 348
_HOURS = 24
_MOST_LETTERS = 19
_LETTER = 7.5  # how wide one is


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a picture: what it is called, and a number for each series."""

    label: str
    values: tuple[int, ...]

    @property
    def total(self) -> int:
        """All its numbers together."""
        return sum(self.values)


def bars(about: str, rows: Sequence[Row]) -> Markup:
    """Draw a bar for each row, its series one behind the other."""
    most = max((row.total for row in rows), default=0) or 1
    drawn = []
    for number, row in enumerate(rows):
        top, x = number * _ROW, float(_LEFT)
        drawn.append(_text(0, top + 18, _short(row.label)))
        for series, value in enumerate(row.values):
            width = (_RIGHT - _LEFT - 44) * value / most
            drawn.append(_box(x, top + 5, width, _ROW - 10, series, f"{row.label}: {value}"))
            x += width
        drawn.append(_text(x + 6, top + 18, f"{row.total:,}", strong=True))
    return _svg(about, len(rows) * _ROW + 4, drawn)


def columns(
    about: str,
    rows: Sequence[Row],
    *,
    beside: bool = False,
    shaded: Collection[int] = (),
    write: Callable[[int], str] = "{:,}".format,
) -> Markup:
    """Draw a column for each row from left to right, its series one upon the other, or one beside the other.

    `shaded` are the numbers of rows with a shade behind them; `write` says a number as people do.
    """
    height, base = 150, 128
    most = max((max(row.values, default=0) if beside else row.total for row in rows), default=0) or 1
    step = _WIDTH / max(len(rows), 1)
    drawn = [_shade(number * step, step, 18, base) for number in shaded]
    drawn += [_line(0, base, _WIDTH, base), _text(0, 11, write(most))]
    for number, row in enumerate(rows):
        x, y, wide = number * step + step * 0.12, float(base), step * 0.76
        wide /= len(row.values) if beside and row.values else 1
        for series, value in enumerate(row.values):
            tall = (base - 18) * value / most
            y = base - tall if beside else y - tall
            left = x + series * wide if beside else x
            drawn.append(_box(left, y, wide, tall, series, f"{row.label}: {write(value)}"))
    marks = _marks([row.label for row in rows], step * 0.12, base + 16)
    return _svg(about, height, [*drawn, *marks])


def lines(
    about: str,
    marks: Sequence[str],
    series: Sequence[Sequence[float | None]],
    *,
    most: float = 0,
    write: Callable[[float], str] = "{:,.0f}".format,
) -> Markup:
    """Draw a line for each series from left to right, broken where there is no number; `most` is the least height."""
    height, base = 150, 128
    top = max([most, *(value for one in series for value in one if value is not None)]) or 1
    step = _WIDTH / max(len(marks), 1)
    drawn = [_line(0, base, _WIDTH, base), _text(0, 11, write(top))]
    for number, values in enumerate(series):
        places = [
            None if value is None else ((place + 0.5) * step, base - (base - 18) * value / top)
            for place, value in enumerate(values)
        ]
        drawn += [_path(run, number) for run in _runs(places)]
        drawn += [
            _dot(*place, 2.2, number, f"{mark}: {write(value)}" if mark else write(value))
            for mark, value, place in zip(marks, values, places, strict=True)
            if value is not None and place is not None
        ]
    return _svg(about, height, [*drawn, *_marks(marks, 0, base + 16)])


def bands(about: str, marks: Sequence[str], rows: Mapping[str, Sequence[float | None]]) -> Markup:
    """Draw a band for each row: low and green where all was well (1), tall where not (less than 1), nothing where unknown."""
    height, drawn = len(rows) * _ROW + 22, []
    step = (_WIDTH - _LEFT) / max(len(marks), 1)
    for number, (label, values) in enumerate(rows.items()):
        middle = number * _ROW + _ROW / 2
        drawn.append(_text(0, middle + 4, _short(label)))
        for place, value in enumerate(values):
            if value is not None:
                tall, series = (8, 2) if value >= 1 else (20, 1 if value > 0 else 3)
                words = f"{label}, {marks[place]}: {value:.0%}"
                drawn.append(_box(_LEFT + place * step, middle - tall / 2, step * 0.9, tall, series, words))
    return _svg(about, height, [*drawn, *_marks(marks, _LEFT, height - 5, 4)])


def clock(about: str, rows: Mapping[str, Mapping[int, int]], bands: Sequence[tuple[int, int]] = ()) -> Markup:
    """Draw a line for each row with a dot for each hour of the day; `bands` (minutes) are shaded behind them."""
    most = max((count for hours in rows.values() for count in hours.values()), default=0) or 1
    height = len(rows) * _ROW + 24
    step = (_WIDTH - _LEFT) / _HOURS
    drawn = [
        _shade(_LEFT + start / 60 * step, (end - start) / 60 * step, 0, height - 22)
        for start, end in bands
        if end > start
    ]
    for hour in range(0, _HOURS, 6):
        drawn.append(_line(_LEFT + hour * step, 0, _LEFT + hour * step, height - 22))
        drawn.append(_text(_LEFT + hour * step + 2, height - 7, f"{hour:02}:00"))
    for number, (label, hours) in enumerate(rows.items()):
        middle = number * _ROW + _ROW / 2
        drawn.append(_text(0, middle + 4, _short(label)))
        for hour, count in sorted(hours.items()):
            radius = 1.6 + 3.2 * (count / most) ** 0.5
            drawn.append(
                _dot(_LEFT + (hour + 0.5) * step, middle, radius, 0, f"{label}, {hour:02}:00: {count}")
            )
    return _svg(about, height, drawn)


def colour_of(series: int) -> str:
    """Return the colour of a series, for a legend."""
    return _COLOURS[series % len(_COLOURS)]


def _svg(about: str, height: float, drawn: Sequence[Markup]) -> Markup:
    head = Markup(
        '<svg class="chart" viewBox="0 0 {} {:.0f}" role="img" aria-label="{}" focusable="false">'
    ).format(_WIDTH, max(height, 24), about)
    return head + Markup("").join(drawn) + Markup("</svg>")


def _box(x: float, y: float, width: float, height: float, series: int, about: str) -> Markup:
    return Markup(
        '<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="2" fill="{}"><title>{}</title></rect>'
    ).format(x, y, max(width, 0), max(height, 0), colour_of(series), about)


def _marks(marks: Sequence[str], left: float, y: float, most: int = 6) -> Iterator[Markup]:
    """Yield what stands below a picture that begins at `left`, about so many as have room; empty marks are none."""
    step = (_WIDTH - (left if left >= _LEFT else 0)) / max(len(marks), 1)
    named = [(left + number * step, mark) for number, mark in enumerate(marks) if mark]
    for x, mark in named[:: max(1, len(named) // most)]:
        if x + _LETTER * len(mark) <= _WIDTH:
            yield _text(x, y, mark)


def _dot(x: float, y: float, radius: float, series: int, about: str) -> Markup:
    return Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{:.1f}" fill="{}"><title>{}</title></circle>').format(
        x, y, radius, colour_of(series), about
    )


def _path(places: Sequence[tuple[float, float]], series: int) -> Markup:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return Markup('<polyline points="{}" fill="none" stroke="{}" stroke-width="2"/>').format(
        points, colour_of(series)
    )


def _runs(places: Sequence[tuple[float, float] | None]) -> Iterator[list[tuple[float, float]]]:
    """Yield the stretches of places without a gap, of two at least."""
    run: list[tuple[float, float]] = []
    for place in (*places, None):
        if place is not None:
            run.append(place)
            continue
        if len(run) > 1:
            yield run
        run = []


def _shade(x: float, width: float, top: float, bottom: float) -> Markup:
    return Markup('<rect x="{:.1f}" y="{:.0f}" width="{:.1f}" height="{:.0f}" fill="var(--tint)"/>').format(
        x, top, width, bottom - top
    )


def _text(x: float, y: float, text: str, *, strong: bool = False) -> Markup:
    weight = Markup(' font-weight="650"') if strong else Markup("")
    return Markup('<text x="{:.1f}" y="{:.1f}"{}>{}</text>').format(x, y, weight, text)


def _line(x1: float, y1: float, x2: float, y2: float) -> Markup:
    return Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="var(--line)"/>').format(
        x1, y1, x2, y2
    )


def _short(label: str) -> str:
    return label if len(label) <= _MOST_LETTERS else f"{label[: _MOST_LETTERS - 1].rstrip()}…"
