"""`schoolgate policy history`, `restore`, `migrate` and `except`: changes to policy.yaml that are kept and can be undone."""

import json
from collections.abc import Callable
from contextlib import contextmanager
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
    read_settings,
    refuse,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schoolgate_policy.history import History, Listed

exceptions = typer.Typer(
    help="Add an exception, change its end, or take it out.", no_args_is_help=True, rich_markup_mode=None
)

ExceptionId = Annotated[str, typer.Argument(help="The exception, such as REQ-2026-0012.", metavar="ID")]
Who = Annotated[
    str, typer.Option("--by", help="Who makes this change; default: the account.", metavar="ROLE")
]


def history(state: StateFolder = None, settings: SettingsFile = None, *, as_json: AsJson = False) -> None:
    """List the versions of policy.yaml that were kept, newest first, with the lines each added and removed."""
    with _plain_errors():
        listed = list(_history(settings, state).listed())
    if as_json:
        typer.echo(json.dumps([_as_mapping(entry) for entry in listed], ensure_ascii=False, indent=2))
        return
    for entry in listed:
        version = entry.version
        at = f"{version.at.astimezone():%Y-%m-%d %H:%M:%S}"
        lines = f"+{entry.added} -{entry.removed}"
        typer.echo(f"{version.short}  {at}  {lines:>9}  {_one_line(version.who)}: {_one_line(version.why)}")


def restore(
    version: Annotated[str, typer.Argument(help="The first digits of a version that `history` lists.")],
    policy: PolicyFile = DEFAULT_POLICY,
    state: StateFolder = None,
    settings: SettingsFile = None,
    who: Who = "",
) -> None:
    """Bring an earlier version of policy.yaml back; the one that it replaces is kept too."""
    folder = read_settings(settings, state).state
    with _plain_errors():
        kept = _history(settings, state)
        wanted = kept.find(version)
        data = kept.read(wanted)
        _write(policy, lambda _: data, folder, who, f"restored version {wanted.short}", create=True)


def migrate(
    policy: PolicyFile = DEFAULT_POLICY,
    state: StateFolder = None,
    settings: SettingsFile = None,
    *,
    write: Annotated[bool, typer.Option("--write", help="Write the file, not only the diff.")] = False,
) -> None:
    """Print what the newest version of the policy language asks to change; exit 1 if that is still to be written."""
    from difflib import unified_diff

    from schoolgate_policy.migrate import migrate as bring_up_to_date

    with _plain_errors():
        old = policy.read_bytes()
        migration = bring_up_to_date(old, policy.name)
        if migration.data == old:
            typer.echo(f"{policy}: version {migration.before} is the newest; nothing to change")
            return
        before, after = (text.decode("utf-8-sig").splitlines(keepends=True) for text in (old, migration.data))
        old_name, new_name = f"{policy} ({migration.before})", f"{policy} ({migration.after})"
        for line in unified_diff(before, after, old_name, new_name):
            typer.echo(line, nl=not line.endswith(("\n", "\r")))
        if not write:
            raise typer.Exit(1)
        folder = read_settings(settings, state).state
        why = f"brought from version {migration.before} of the policy language to {migration.after}"
        _write(policy, lambda data: bring_up_to_date(data, policy.name).data, folder, "", why)


@exceptions.command()
def add(
    name: ExceptionId,
    until: Annotated[str, typer.Option(help="The last day, or the instant it ends.", metavar="DATE")],
    reason: Annotated[str, typer.Option(help="Why; whoever is concerned can read it.")],
    allow: Annotated[list[str] | None, typer.Option(help="What is allowed.", metavar="TARGET")] = None,
    block: Annotated[list[str] | None, typer.Option(help="What is blocked.", metavar="TARGET")] = None,
    whom: Annotated[
        list[str] | None, typer.Option("--for", help="A network or device; none: all.", metavar="NAME")
    ] = None,
    starts: Annotated[
        str, typer.Option("--from", help="The first day or instant; default: at once.", metavar="DATE")
    ] = "",
    during: Annotated[
        list[str] | None, typer.Option(help="A schedule; none: always.", metavar="SCHEDULE")
    ] = None,
    reviewed_by: Annotated[str, typer.Option(help="The role of who looked at it.", metavar="ROLE")] = "",
    approved_by: Annotated[str, typer.Option(help="The role of who agreed.", metavar="ROLE")] = "",
    policy: PolicyFile = DEFAULT_POLICY,
    state: StateFolder = None,
    settings: SettingsFile = None,
    who: Who = "",
) -> None:
    """Write an exception into policy.yaml."""
    from schoolgate_policy.decision import Verdict
    from schoolgate_policy.document import add_exception
    from schoolgate_policy.grant import NewException

    if bool(allow) == bool(block):
        refuse(["say exactly one of --allow and --block; either may be repeated"])
    with _plain_errors():
        new = NewException(
            id=name,
            targets=tuple(allow or block or ()),
            until=until,
            reason=reason,
            verdict=Verdict.ALLOW if allow else Verdict.BLOCK,
            whom=tuple(whom or ()),
            starts=starts or None,
            during=tuple(during or ()),
            reviewed_by=reviewed_by or None,
            approved_by=approved_by or None,
        )
        folder = read_settings(settings, state).state
        _write(
            policy,
            lambda data: add_exception(data, new, policy.name),
            folder,
            who,
            f"added exception {new.id}",
        )


@exceptions.command()
def end(
    name: ExceptionId,
    until: Annotated[str, typer.Argument(help="The last day, or the instant it ends.", metavar="DATE")],
    policy: PolicyFile = DEFAULT_POLICY,
    state: StateFolder = None,
    settings: SettingsFile = None,
    who: Who = "",
) -> None:
    """Let an exception end at another day or instant."""
    from schoolgate_policy.document import change_end

    folder = read_settings(settings, state).state
    with _plain_errors():
        why = f"exception {name} ends {until}"
        _write(policy, lambda data: change_end(data, name, until, policy.name), folder, who, why)


@exceptions.command()
def remove(
    name: ExceptionId,
    policy: PolicyFile = DEFAULT_POLICY,
    state: StateFolder = None,
    settings: SettingsFile = None,
    who: Who = "",
) -> None:
    """Take an exception out of policy.yaml."""
    from schoolgate_policy.document import remove_exception

    folder = read_settings(settings, state).state
    with _plain_errors():
        _write(
            policy,
            lambda data: remove_exception(data, name, policy.name),
            folder,
            who,
            f"removed exception {name}",
        )


def _write(
    policy: Path, edit: Callable[[bytes], bytes], state: Path, who: str, why: str, *, create: bool = False
) -> None:
    """Write through the one path that all changes take, and say what came of it."""
    from schoolgate_policy.history import SHORT
    from schoolgate_policy.write import Author, edit_policy

    author = Author(who or _account(), why, datetime.now(UTC))
    written = edit_policy(policy, edit, author=author, state=state, create=create)
    if written.before == written.after:
        typer.echo(f"{policy}: nothing to change")
    else:
        typer.echo(f"{policy}: {why}; version {written.before[:SHORT]} became {written.after[:SHORT]}")


def _account() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in a container
        return "the command line"


def _history(settings: Path | None, state: Path | None) -> "History":
    from schoolgate_policy.write import history_of

    return history_of(read_settings(settings, state).state)


@contextmanager
def _plain_errors() -> "Iterator[None]":
    """Say in one line why a change cannot be made, with what to paste instead where a machine cannot make it."""
    from schoolgate_policy.errors import EditError, PolicyError, PolicyUnwritable, SchoolgateError

    try:
        yield
    except PolicyError as error:
        refuse(["nothing was written: the policy would not be usable", *error.issues])
    except (EditError, PolicyUnwritable) as error:
        refuse([error, *(["to paste:", error.snippet] if error.snippet else [])])
    except SchoolgateError as error:
        refuse([error])
    except OSError as error:
        refuse([f"{error.filename}: {error.strerror}"])


def _as_mapping(entry: "Listed") -> dict[str, Any]:
    version = entry.version
    return {
        "version": version.short,
        "digest": version.digest,
        "at": version.at.isoformat(),
        "who": version.who,
        "why": version.why,
        "added": entry.added,
        "removed": entry.removed,
    }


def _one_line(text: str) -> str:
    """Keep words that a person once typed from reaching the terminal as more than words."""
    return " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())
