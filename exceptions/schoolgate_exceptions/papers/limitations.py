"""What the filter cannot see or do, from the policy in force and what the proxy passes on at present."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from schoolgate_exceptions.papers.document import Document, Section
from schoolgate_policy.limits import everywhere, limits, passed_unread
from schoolgate_policy.model import Inspection, Policy

PINNED = "pinned.json"  # in the state folder, written by the proxy
_LEVELS = {
    Inspection.NAMES: "nothing is opened, only the names of sites are judged",
    Inspection.NEEDED: "connections are opened where a rule needs it",
    Inspection.ALL: "connections are opened, but for what is never opened",
}


def paper(policy: Policy, state: Path, made: str) -> Document:
    """Return the limits as a paper."""
    return Document(
        "What the filter cannot see",
        policy.school.name,
        f"made from policy {policy.version}",
        made,
        (
            Section("Everywhere", points=_sentences(everywhere(policy))),
            *(_network(policy, name) for name in policy.networks),
            Section("Passed on unread", points=_sentences((*passed_unread(policy), *_pinned(state)))),
        ),
    )


def section(policy: Policy, state: Path) -> Section:
    """Return them in short, as a section of a report."""
    levels = [f"{one.id}: {_LEVELS[one.inspection]}" for one in policy.networks.values()]
    unread = (*passed_unread(policy), *_pinned(state))
    return Section("What the filter cannot see", points=_sentences((*everywhere(policy), *levels, *unread)))


def _network(policy: Policy, name: str) -> Section:
    found = [one.text for one in limits(policy) if one.network == name]
    level = policy.networks[name].inspection
    return Section(f"Network {name}", (f"Inspection `{level}`: {_LEVELS[level]}.",), _sentences(tuple(found)))


def _pinned(state: Path) -> tuple[str, ...]:
    """Say how many names of apps are passed on at present because they trust only their makers' certificates."""
    try:
        read: Any = json.loads((state / PINNED).read_text("utf-8"))
        counts = Counter(str(one["network"]) for one in read["passed"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError):
        return ("which apps are passed on at present cannot be read",)
    return tuple(
        f"{count} names of apps that trust only their makers' certificates, on {network}"
        for network, count in counts.items()
    )


def _sentences(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{text[:1].upper()}{text[1:]}." for text in texts)
