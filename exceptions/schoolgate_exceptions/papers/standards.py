"""The points of the standards, each as met, not met or not ours, with its proof from the running system."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import ModuleType

import yaml

from schoolgate_exceptions.papers import judging_dfe, judging_uksic, saying
from schoolgate_exceptions.papers.document import Document, Item, Section
from schoolgate_exceptions.papers.facts import Facts
from schoolgate_exceptions.papers.standing import Judged, Stands

_JUDGES: Mapping[str, ModuleType] = {"uksic": judging_uksic, "dfe": judging_dfe}
_TITLES = {
    "uksic": "UK Safer Internet Centre: appropriate filtering",
    "dfe": "DfE standards, KCSIE, Prevent and data protection",
}
_TONES = {Stands.MET: "good", Stands.NOT_MET: "bad", Stands.NOT_OURS: ""}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a standard asks, in our words."""

    table: str
    id: str
    point: str
    asks: str

    @property
    def judge(self) -> Callable[[Facts], Judged]:
        """What judges it."""
        found: Callable[[Facts], Judged] = getattr(_JUDGES[self.table], self.id.replace("-", "_"))
        return found


@dataclass(frozen=True, slots=True)
class Point:
    """A point with how it stands."""

    table: str
    id: str
    point: str
    asks: str
    stands: Stands
    proof: tuple[str, ...]
    do: str


@cache
def asked() -> tuple[Asked, ...]:
    """Return every point, in the order of the file."""
    text = (files("schoolgate_exceptions") / "papers" / "standards.yaml").read_text("utf-8")
    read: Mapping[str, Mapping[str, Mapping[str, str]]] = yaml.safe_load(text)
    return tuple(
        Asked(table, id_, one["point"], one["asks"])
        for table, points in read.items()
        for id_, one in points.items()
    )


def judge(facts: Facts) -> tuple[Point, ...]:
    """Return how every point stands."""
    found = []
    for one in asked():
        judged = one.judge(facts)
        found.append(Point(one.table, one.id, one.point, one.asks, judged.stands, judged.proof, judged.do))
    return tuple(found)


def paper(points: tuple[Point, ...], facts: Facts) -> Document:
    """Return them as a paper."""
    counts = {stands: sum(one.stands is stands for one in points) for stands in Stands}
    return Document(
        "Evidence against the standards",
        facts.policy.school.name,
        ", ".join(f"{count} {stands}" for stands, count in counts.items()),
        f"Looked up on {saying.moment(facts.now, facts.zone)} in the running system, policy {facts.policy.version}. What the"
        " standards ask is in our words; read them at their source. Not ours: no network filter can do it, or somebody else must.",
        tuple(
            Section(title, items=tuple(_item(one) for one in points if one.table == table))
            for table, title in _TITLES.items()
        ),
    )  # fmt: skip


def _item(one: Point) -> Item:
    lines = [one.asks, *(f"{line[:1].upper()}{line[1:]}." for line in one.proof)]
    lines += [f"To do: {one.do}."] if one.do else []
    return Item(one.point, tuple(lines), str(one.stands), _TONES[one.stands])
