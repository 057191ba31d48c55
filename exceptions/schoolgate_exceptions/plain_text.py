"""Words from people, made harmless to show: no control characters, nothing that turns the direction of reading."""

import unicodedata

from schoolgate_exceptions.errors import InvalidInput

# Cc controls, Cf formatting (right-to-left marks and overrides, zero-width), Cs halves, Co private, Cn unassigned
_DROPPED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_SPACES = frozenset({"Zs", "Zl", "Zp"})
_MOST_MARKS = 3  # accents stacked on one letter; more is a drawing


def clean(text: str) -> str:
    """Return text on one line in composed form, without characters that cannot be seen."""
    kept: list[str] = []
    marks = 0
    for character in unicodedata.normalize("NFC", text):
        category = unicodedata.category(character)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if character in "\t\n\r" or category in _SPACES:
            kept.append(" ")
        elif category not in _DROPPED and marks <= _MOST_MARKS:
            kept.append(character)
    return " ".join("".join(kept).split())


def words(name: str, text: str, most: int, *, least: int = 0) -> str:
    """Return cleaned text of a form field.

    Raises:
        InvalidInput: it is longer than `most` characters, or shorter than `least`.

    """
    cleaned = clean(text)
    if len(cleaned) > most:
        raise InvalidInput(**{name: f"use {most} characters or fewer; these are {len(cleaned)}"})
    if len(cleaned) < least:
        raise InvalidInput(**{name: "write a few words here"})
    return cleaned
