"""Words that send a request to the designated safeguarding lead as well. A hit is a reason to look, never a verdict."""

import re
import unicodedata
from functools import cache
from importlib.resources import files

_LIKE_LETTERS = str.maketrans(
    {
        "0": "o",
        "1": "i",
        "3": "e",
        "4": "a",
        "5": "s",
        "7": "t",
        "@": "a",
        "$": "s",
        "!": "i",
        "|": "i",
        "l": "i",
    }
)


def is_worrying(*texts: str) -> bool:
    """Whether any text has one of the listed words or phrases in it, also spelt with digits or accents."""
    return any(_pattern().search(_plain(text)) for text in texts if text)


def _plain(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text.casefold())
    letters = "".join(character for character in letters if not unicodedata.combining(character))
    return re.sub(r"[^a-z]+", " ", letters.translate(_LIKE_LETTERS))


@cache
def _pattern() -> re.Pattern[str]:
    lines = (files("schoolgate_exceptions") / "texts" / "safeguarding.txt").read_text("utf-8").splitlines()
    phrases = [_plain(line).strip() for line in lines if line.strip() and not line.startswith("#")]
    return re.compile(r"\b(?:" + "|".join(sorted(map(re.escape, phrases), key=len, reverse=True)) + r")\b")
