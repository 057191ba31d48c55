"""Whether this box is under a centre: asked by every part, most of which need no more of `box/` and its cryptography."""

from pathlib import Path

FOLDER, CENTRE = "box", "centre.json"


def is_enrolled(state: Path) -> bool:
    """Whether the state folder knows a centre."""
    return (state / FOLDER / CENTRE).is_file()
