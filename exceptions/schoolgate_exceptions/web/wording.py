"""What services say in English, for programs and logs, in the words of a page and in its language.

A service's sentence is known by `texts/said.yaml`; one that is not there is shown as it is.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import yaml

from schoolgate_exceptions.web.words import Words

_FIELD = re.compile(r"\{(\w+)\}")


def worded(text: str, t: Words) -> str:
    """Return a sentence of a service as pages say it."""
    found = match(text)
    if found is None:
        return text
    key, values = found
    return t(key, **{name: _value(name, value, t) for name, value in values.items()})


def match(text: str) -> tuple[str, dict[str, str]] | None:
    """Return the key of a service's sentence and what stands in its braces; None where it is not known."""
    for pattern, key in _patterns().items():
        found = pattern.fullmatch(text)
        if found is not None:
            return key, found.groupdict()
    return None


def _value(name: str, value: str, t: Words) -> str:
    if name == "state":
        return t.of("state.", value)
    if name == "roles":
        return ", ".join(t.of("role.", one) for one in re.split(r", | or ", value))
    return value


@cache
def _patterns() -> Mapping[re.Pattern[str], str]:
    file = files("schoolgate_exceptions") / "texts" / "said.yaml"
    read: Mapping[str, str] = yaml.safe_load(file.read_text("utf-8"))
    return {_pattern(sentence): key for key, sentence in read.items()}


def _pattern(sentence: str) -> re.Pattern[str]:
    parts = _FIELD.split(sentence)  # text, name, text, name …, text
    return re.compile(
        "".join(re.escape(part) if n % 2 == 0 else f"(?P<{part}>.+)" for n, part in enumerate(parts))
    )
