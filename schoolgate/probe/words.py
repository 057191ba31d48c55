"""What a probe found, in lines for people."""

from collections.abc import Iterator

from schoolgate_exceptions.probe_record import Group, Outcome, ProbeRun, Result

_TITLES = {
    Result.BROKEN: "not as promised",
    Result.UNKNOWN: "no answer that tells",
    Result.UNREACHED: "cannot be reached from here",
}
_SHOWN = 20  # of those without an answer


def lines_of(run: ProbeRun) -> Iterator[str]:
    """Yield a line for each kind of check, one for each that was not as promised, and the sum."""
    width = max((len(one.network) for one in run.groups), default=0)
    for group in run.groups:
        yield f"{group.network:<{width}}  {group.kind:<13}  {group.point:<8}  {_counts(group)}"
    yield from _found(run, Result.BROKEN)
    unclear = list(_found(run, Result.UNKNOWN))
    yield from unclear[:_SHOWN]
    if len(unclear) > _SHOWN:
        yield f"{_TITLES[Result.UNKNOWN]}: and {len(unclear) - _SHOWN} more"
    yield from _out_of_reach(run)
    yield _sum(run)


def _found(run: ProbeRun, result: Result) -> Iterator[str]:
    for group in run.groups:
        for one in group.others:
            if one.result is result:
                why = f"expected {one.expected}, seen {one.seen}"
                yield f"{_TITLES[result]}: {group.network}: {group.point}: {one.what}: {why}"


def _out_of_reach(run: ProbeRun) -> Iterator[str]:
    """Yield one line for everything that could not be tried for the same reason."""
    for group in run.groups:
        reasons: dict[str, list[str]] = {}
        for one in group.others:
            if one.result is Result.UNREACHED:
                reasons.setdefault(one.seen, []).append(one.what)
        for why, names in reasons.items():
            yield f"{_TITLES[Result.UNREACHED]}: {group.network}: {group.point}: {', '.join(names)}: {why}"


def _counts(group: Group) -> str:
    parts = [f"{group.count(Result.KEPT)} as promised"]
    parts += [f"{count} {title}" for result, title in _TITLES.items() if (count := group.count(result))]
    return ", ".join(parts)


def _sum(run: ProbeRun) -> str:
    if not run.reached:
        return "nothing could be tried"
    said = (
        "something is not as promised"
        if run.outcome is Outcome.FAILED
        else "everything that was tried is as promised"
    )
    missing = [name for name in run.networks if name not in run.reached]
    return f"{said}; not reached: {', '.join(missing)}" if missing else said
