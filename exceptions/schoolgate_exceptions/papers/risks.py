"""The four areas of risk of KCSIE (content, contact, conduct, commerce), and which categories touch each (`risks.yaml`)."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import yaml

from schoolgate_exceptions.papers import trying
from schoolgate_exceptions.papers.facts import Facts

AREAS = ("content", "contact", "conduct", "commerce")


@cache
def by_category() -> Mapping[str, frozenset[str]]:
    """Return the areas of each category of the shipped catalogue."""
    read: dict[str, list[str]] = yaml.safe_load((files(__package__) / "risks.yaml").read_text("utf-8"))
    return {name: frozenset(areas) for name, areas in read.items()}


def ruled(facts: Facts) -> dict[str, tuple[str, ...]]:
    """Return by area the categories on which a rule decides for every pupil, and not the default."""
    decided = [name for name, areas in by_category().items() if areas and trying.is_ruled(facts, name)]
    return {area: tuple(name for name in decided if area in by_category()[name]) for area in AREAS}
