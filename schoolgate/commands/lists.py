"""`schoolgate policy lists`: what the lists of a policy hold, how old they are, and which were refused."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schoolgate.commands.options import (
    DEFAULT_POLICY,
    AsJson,
    PolicyFile,
    SettingsFile,
    StateFolder,
    read_policy,
    read_settings,
    refuse,
)

if TYPE_CHECKING:
    from schoolgate.settings import Settings
    from schoolgate_policy.lists.spec import ListSpec, ListStatus


def lists(
    policy: PolicyFile = DEFAULT_POLICY,
    state: StateFolder = None,
    settings: SettingsFile = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Fetch every list that has a URL.")] = False,  # noqa: FBT002 - typer's flag
    accept: Annotated[
        str, typer.Option(help="Use what this list brings now, although it shrank.", metavar="NAME")
    ] = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Show every list with its count, date, licence and state; exit 1 if one is not what its source brings."""
    from schoolgate_policy.lists.spec import Standing

    box = read_settings(settings, state)
    known = read_policy(policy, box.state).list_status
    failed = _refresh([status.spec for status in known], box) if refresh else 0
    if accept:
        _accept([status.spec for status in known if status.spec.name == accept], accept, policy, box.state)
    if refresh or accept:
        known = read_policy(policy, box.state).list_status
    if as_json:
        typer.echo(
            json.dumps([_as_mapping(status) for status in known], ensure_ascii=False, indent=2, default=str)
        )
    else:
        for status in known:
            typer.echo(_as_text(status))
    flawed = any(status.standing is not Standing.IN_USE for status in known)
    raise typer.Exit(1 if flawed or failed else 0)


def _refresh(specs: "list[ListSpec]", box: "Settings") -> int:
    """Fetch what has a URL, and say on stderr what could not be had; return how many those are."""
    from schoolgate.list_refresh import fetcher_of

    try:
        fetched = fetcher_of(box).refresh(specs, force=True)
    except OSError as error:
        refuse([f"{error.filename or box.state}: {(error.strerror or str(error)).lower()}"])
    errors = [f"{one.spec.url}: {one.error}" for one in fetched if one.error]
    for line in errors:
        typer.echo(line, err=True)
    return len(errors)


def _accept(specs: "list[ListSpec]", name: str, policy: Path, state: Path) -> None:
    from schoolgate_policy.lists.library import ListLibrary
    from schoolgate_policy.lists.shelf import Shelf
    from schoolgate_policy.lists.spec import ListRefused

    if not specs:
        refuse([f"--accept: no list `{name}` in the policy"])
    library = ListLibrary(policy.parent, state, keeps=False)
    for spec in specs:
        try:
            Shelf(state).accept(spec, library.digest(spec))
        except (ListRefused, OSError) as error:
            refuse([f"--accept: {name}: {getattr(error, 'strerror', None) or error}"])


def _as_mapping(status: "ListStatus") -> dict[str, Any]:
    spec, counts = status.spec, status.counts
    return {
        "name": spec.name,
        "locked": spec.locked,
        "state": status.standing.value,
        "file": spec.file,
        "url": spec.url,
        "format": counts.format if counts else spec.format,
        "names": counts.names if counts else 0,
        "pages": counts.pages if counts else 0,
        "exceptions": counts.exceptions if counts else 0,
        "unused": counts.unused if counts else 0,
        "too_wide": counts.too_wide if counts else 0,
        "unreadable": counts.unreadable if counts else 0,
        "category": spec.category,
        "reason": spec.reason,
        "licence": spec.licence,
        "refresh_seconds": int(spec.refresh.total_seconds()) if spec.url else None,
        "digest": status.digest or None,
        "dated": status.dated.isoformat(timespec="seconds") if status.dated else None,
        "age_seconds": int((datetime.now(UTC) - status.dated).total_seconds()) if status.dated else None,
        "refused": status.refused or None,
    }


def _as_text(status: "ListStatus") -> str:
    spec, counts = status.spec, status.counts
    lines = [f"{'locked ' if spec.locked else ''}{spec.name}: {status.standing}"]
    rows = {"source": spec.file or spec.url, "licence": spec.licence, "category": spec.category}
    if counts:
        rows["entries"] = f"{counts.names:,} names, {counts.pages:,} pages ({counts.format})"
        rows["not used"] = ", ".join(
            f"{count:,} {what}"
            for what, count in (
                ("exceptions", counts.exceptions),
                ("rules that say more than a name", counts.unused),
                ("too wide", counts.too_wide),
                ("unreadable", counts.unreadable),
            )
            if count
        )
    if status.dated:
        age = datetime.now(UTC) - status.dated
        hours = int(age.total_seconds() // 3600)
        rows["dated"] = f"{status.dated:%Y-%m-%d %H:%M} UTC, {hours // 24} days and {hours % 24} hours ago"
        rows["digest"] = status.digest
    rows["refused"] = status.refused
    return "\n".join([*lines, *(f"  {key:9} {value}" for key, value in rows.items() if value)])
