"""How hard a text is to read, near enough to compare texts (Flesch and Kincaid's grade, and five)."""

import re
from collections.abc import Iterable

_NAMES = re.compile(r"\{\w+\}|www\.\S+|\S+\.(?:uk|example)\S*|K7-4QX")


def sentences(text: str) -> list[list[str]]:
    """Return the words of each sentence; names of sites and codes are left out."""
    parts = (re.findall(r"[A-Za-z']+", _NAMES.sub("", one)) for one in re.split(r"(?<=[.?!:;])\s+|\n+", text))
    return [words for words in parts if words]


def syllables(word: str) -> int:
    """Count groups of vowels, a silent e left out."""
    groups = len(re.findall(r"[aeiouy]+", word.lower()))
    return max(groups - (word.lower().endswith("e") and groups > 1 and not word.lower().endswith("le")), 1)


def reading_age(texts: Iterable[str]) -> float:
    """Return the age in years at which most can read some texts."""
    found = [one for text in texts for one in sentences(text)]
    words = [word for one in found for word in one]
    return 0.39 * len(words) / len(found) + 11.8 * sum(map(syllables, words)) / len(words) - 15.59 + 5
