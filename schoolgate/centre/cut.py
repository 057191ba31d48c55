"""The part of a trust's policy that is one box's: without the exceptions of other schools.

Lines are emptied, never moved: `policy.yaml:41` in a record of any box is line 41 of the centre's file.
"""

from collections.abc import Collection

import yaml

from schoolgate_policy.model import Policy, PolicyException

_KEY = "exceptions"


def networks_of(policy: Policy, exception: PolicyException) -> frozenset[str]:
    """Return the networks that an exception concerns, also by its devices; all where it names nobody."""
    if not exception.networks and not exception.devices:
        return frozenset(policy.networks)
    found = set(exception.networks)
    for name in exception.devices:
        for part in policy.devices[name].addresses:
            found |= {
                network.id
                for network in policy.networks.values()
                for around in network.addresses
                if part.version == around.version and part.overlaps(around)
            }
    return frozenset(found)


def cut(text: str, policy: Policy, networks: Collection[str]) -> str:
    """Return the text of a policy without the exceptions that concern none of some networks.

    An exception that shares a line with something else stays: it does no more than what was approved.
    """
    foreign = {one.id for one in policy.exceptions if networks_of(policy, one).isdisjoint(networks)}
    if not foreign:
        return text
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    lines = text.splitlines(keepends=True)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    for key, value in pairs:
        if key.value == _KEY and isinstance(value, yaml.SequenceNode) and not value.flow_style:
            _empty(lines, key, value, foreign)
    return "".join(lines)


def _empty(lines: list[str], key: yaml.Node, value: yaml.SequenceNode, foreign: set[str]) -> None:
    starts = [item.start_mark.line for item in value.value]
    ends = [*starts[1:], _last(value) + 1]
    gone = [_id(item) in foreign for item in value.value]
    for start, end, goes in zip(starts, ends, gone, strict=True):
        if goes:
            lines[start:end] = [_line_end(line) for line in lines[start:end]]
    if all(gone):
        lines[key.start_mark.line] = _line_end(lines[key.start_mark.line])


def _last(value: yaml.SequenceNode) -> int:
    """Return the last line that belongs to the last exception."""
    mark = value.end_mark
    return mark.line - 1 if mark.column == 0 and mark.line > value.start_mark.line else mark.line


def _id(item: yaml.Node) -> str:
    pairs = item.value if isinstance(item, yaml.MappingNode) else []
    return next((str(value.value) for key, value in pairs if key.value == "id"), "")


def _line_end(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]
