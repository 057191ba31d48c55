"""Draws the pictures of docs/quick-start.md, and takes the two that show pages; `make pictures`."""

import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "pictures"
_INK, _SOFT, _LINE, _PAPER = "#1b2a3d", "#4a5b70", "#7d8ea3", "#ffffff"
_STYLE = f"text{{font:14px system-ui,sans-serif;fill:{_INK}}}.s{{font-size:12px;fill:{_SOFT}}}.b{{font-weight:600}}"
SIZE = (640, 560)


def svg(width: int, height: int, title: str, *parts: str) -> str:
    """Return a drawing; the title is read to people who do not see it."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">'
    marker = (
        '<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 0 8 4 0 8z" fill="{_LINE}"/></marker></defs>'
    )
    back = f'<rect width="{width}" height="{height}" fill="#f4f7fb"/>'
    lines = (head, f"<title>{escape(title)}</title><style>{_STYLE}</style>", marker, back, *parts, "</svg>")
    return "\n".join(lines) + "\n"


def box(x: int, y: int, width: int, height: int, fill: str, *words: str) -> str:
    """Return a box with lines of text, the first one in bold."""
    first = y + height // 2 - 9 * (len(words) - 1) + 5
    text = "".join(
        f'<text x="{x + width // 2}" y="{first + 18 * number}" text-anchor="middle" class="{"s" if number else "b"}">'
        f"{escape(word)}</text>"
        for number, word in enumerate(words)
    )
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="{fill}" stroke="{_LINE}"/>{text}'


def arrow(x1: int, y1: int, x2: int, y2: int, word: str = "") -> str:
    """Return an arrow with a word above its middle."""
    line = f'<path d="M{x1} {y1}L{x2} {y2}" stroke="{_LINE}" stroke-width="2" marker-end="url(#a)"/>'
    at = f'x="{(x1 + x2) // 2}" y="{(y1 + y2) // 2 - 6}" text-anchor="middle"'
    return line + (f'<text {at} class="s">{escape(word)}</text>' if word else "")


def network() -> str:
    """Return the drawing of a school's network with the box in it."""
    rows = (("staff", 10, "#e4f2e8"), ("pupils", 20, "#e3edfa"), ("guests", 30, "#fbf0dc"))
    parts = [
        box(20, 110, 130, 70, _PAPER, "Internet", "the provider's router"),
        box(230, 90, 150, 110, "#dfe8f4", "Schoolgate", "Debian box", "wan eth0", "trunk eth1"),
        box(460, 110, 120, 70, _PAPER, "Switch", "trunk: 10, 20, 30"),
        arrow(230, 145, 152, 145),
        arrow(460, 145, 382, 145),
    ]
    for number, (name, vlan, fill) in enumerate(rows):
        y = 20 + 90 * number
        parts.append(
            box(670, y, 190, 70, fill, f"{name}: VLAN {vlan}", f"10.{vlan}.0.0/16", f"gateway 10.{vlan}.0.1")
        )
        parts.append(arrow(670, y + 35, 582, 145))
    return svg(
        880, 290, "The box stands between the internet and the switch, with one VLAN for each network", *parts
    )


def way() -> str:
    """Return the drawing of what happens to what a pupil's device sends."""
    rows = (
        ("port 53, to any address", "DNS sinkhole", "answers, or leads to the block page"),
        ("TCP 80 and 443", "Web proxy", "opens, judges, passes or blocks"),
        ("the portal's address", "Portal", "why, until when, ask for it"),
        ("everything else", "Refused", "and counted: VPN, QUIC, DoT, SSH"),
    )
    parts = [box(20, 120, 130, 60, "#e3edfa", "A pupil's device"), box(210, 120, 130, 60, _PAPER, "Firewall", "nftables"),
             arrow(150, 150, 208, 150)]  # fmt: skip
    for number, (what, who, does) in enumerate(rows):
        y = 15 + 70 * number
        fill = "#f9e2df" if who == "Refused" else "#dfe8f4"
        turn = f'<path d="M340 150H370V{y + 28}" fill="none" stroke="{_LINE}" stroke-width="2"/>'
        parts += [turn, arrow(370, y + 28, 538, y + 28, what), box(540, y, 300, 56, fill, who, does)]
    return svg(
        860, 300, "What a device sends goes to the sinkhole, the proxy or the portal, or is refused", *parts
    )


DRAWINGS = {"network.svg": network, "way.svg": way}


def block_page() -> str:
    """Return the page that a pupil sees in place of Instagram."""
    from schoolgate_policy.decision import Attempt, Point
    from schoolgate_policy.engine import Engine
    from schoolgate_policy.load import load_policy
    from schoolgate_proxy.blockpage import render

    policy = load_policy(ROOT / "policy.yaml")
    now = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)
    decision = Engine(policy).decide(Attempt("127.0.20.5", "www.instagram.com", now, point=Point.PROXY))
    return render(decision, policy, now=now, ask_url="#", accept="text/html").body.decode()


def take(folder: Path) -> Iterator[Path]:
    """Take the pictures of the pages."""
    from playwright.sync_api import sync_playwright
    from screenshots import CHROMIUM, OFFICER, open_showcase, sign_in

    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]}, java_script_enabled=False)
        page.set_content(block_page())
        page.screenshot(path=folder / "blocked.png")
        show = open_showcase(Path(temporary))
        sign_in(page, show.portal, OFFICER)
        page.goto(show.portal.url + "/queue")
        page.screenshot(path=folder / "queue.png")
        browser.close()
        show.portal.stop()
    yield from (folder / "blocked.png", folder / "queue.png")


def main() -> None:
    """Draw and take all of them; `--drawings` only draws."""
    FOLDER.mkdir(exist_ok=True)
    for name, draw in DRAWINGS.items():
        (FOLDER / name).write_text(draw())
    if "--drawings" not in sys.argv:
        for path in take(FOLDER):
            sys.stdout.write(f"{path.relative_to(ROOT)}: {path.stat().st_size >> 10} KiB\n")


if __name__ == "__main__":
    main()
