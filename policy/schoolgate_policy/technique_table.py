"""The table of techniques: what each means, who sees it, what it counts, and what stops it (`techniques.yaml`).

`python -m schoolgate_policy.technique_table` writes docs/techniques.md from it.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from schoolgate_policy.technique import Technique

PAGE = Path("docs/techniques.md")
LANGUAGES = ("en", "cy")
LAYERS = ("dns", "proxy", "firewall")
_HEAD = """<!-- Made from the table by `python -m schoolgate_policy.technique_table`. -->

# Ways round the filter

Everything that Schoolgate can name, and what becomes of it. `counts` is what one attempt adds to the score of a device
(`circumvention` in policy.yaml): 1 may come from a setting or an app, and however often it is repeated it adds at most 3 and
raises no alert by itself; 2 takes a program or a site made for it, 3 takes
skill or intent. 0 is background noise: devices do it by themselves; it is stopped and counted, and held against nobody.

| technique | means | seen by | counts | what stops it |
| --- | --- | --- | --- | --- |
"""


@dataclass(frozen=True, slots=True)
class About:
    """What there is to say about a technique; `title` and `means` by language."""

    technique: Technique
    seen_by: tuple[str, ...]
    weight: int
    control: str
    title: Mapping[str, str]
    means: Mapping[str, str]

    @property
    def is_background(self) -> bool:
        """Whether ordinary devices do this by themselves."""
        return self.weight == 0


@cache
def table() -> Mapping[Technique, About]:
    """Return the whole table, in the order of the file."""
    text = (files("schoolgate_policy") / "techniques.yaml").read_text("utf-8")
    read: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return {Technique(name): _about(Technique(name), one) for name, one in read.items()}


def about(technique: str) -> About | None:
    """Return what there is to say about a technique by its name; None for one that is not known."""
    return table().get(Technique(technique)) if technique in table() else None


@cache
def weight(technique: str) -> int:
    """Return what one attempt counts; 0 for background noise and for what is not known."""
    found = about(technique)
    return found.weight if found else 0


def render() -> str:
    """Return the page of the documentation."""
    rows = [
        f"| `{one.technique}` {one.title['en']} | {one.means['en']} | {', '.join(one.seen_by)} | {one.weight} "
        f"| {one.control} |"
        for one in table().values()
    ]
    return _HEAD + "\n".join(rows) + "\n"


def _about(technique: Technique, one: Mapping[str, Any]) -> About:
    return About(
        technique,
        tuple(one["see"]),
        one["weight"],
        one["stop"],
        {language: one[language]["title"] for language in LANGUAGES},
        {language: one[language]["means"] for language in LANGUAGES},
    )


def main() -> int:
    """Write the page below the current folder."""
    PAGE.write_text(render(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
