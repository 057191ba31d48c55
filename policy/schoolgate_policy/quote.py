"""Text → YAML scalar: plain where that is safe in YAML 1.1 and 1.2, in and out of `[…]`, else in double quotes."""

import re
import unicodedata

_LETTER = r"A-Za-z0-9\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f"
_PLAIN = re.compile(
    rf"[{_LETTER}](?:[{_LETTER} _./()'&+%;!\u2013\u2014\u2019\u00a3\u20ac-]*[{_LETTER}_./()'!\u2019])?"
)
_NAMED = re.compile(r"(?:category|list):[a-z0-9][a-z0-9_-]*")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBER = re.compile(r"[0-9][0-9a-fA-FxXoO_.,+-]*")  # and every other shape that a number or date may take
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_HIDDEN = {"Cc", "Cf", "Co", "Cn", "Zl", "Zp", "Zs"}  # what cannot be seen, or turns the text around it


def quote(text: str) -> str:
    """Return a scalar that every YAML reader takes for exactly this text; a day stands as it is.

    Characters that cannot be seen, and those that change the direction of writing, are escaped.
    """
    if is_plain(text):
        return text
    return '"' + "".join(_escaped(character) for character in text) + '"'


def is_plain(text: str) -> bool:
    """Whether a text needs no quotes."""
    if _NAMED.fullmatch(text) or _DAY.fullmatch(text):
        return True
    return bool(
        _PLAIN.fullmatch(text)
        and "  " not in text
        and text.lower() not in _WORDS
        and not _NUMBER.fullmatch(text)
    )


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character == " " or unicodedata.category(character) not in _HIDDEN:
        return character
    number = ord(character)
    if number > 0xFFFF:
        return f"\\U{number:08X}"
    return f"\\u{number:04X}" if number > 0xFF else f"\\x{number:02X}"


def flow_list(items: tuple[str, ...]) -> str:
    """Return `[a, b]`."""
    return "[" + ", ".join(quote(item) for item in items) + "]"
