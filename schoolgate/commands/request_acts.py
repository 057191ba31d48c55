"""`schoolgate requests take`, `reconsider`, `block-now`, `settle`, `hold`, `release`: the rarer moves, from the terminal."""

from dataclasses import replace
from typing import Annotated

import typer

from schoolgate.commands.options import DEFAULT_POLICY, AsJson, PolicyFile, SettingsFile, StateFolder
from schoolgate.commands.queue_access import By, Code, PasswordFile, acting, opened
from schoolgate.commands.requests import Answer, Name, Note, changed, done

_HELD = "it is kept until it is released"


def take(
    name: Name,
    by: By = "",
    password_file: PasswordFile = None,
    code: Code = "",
    policy: PolicyFile = DEFAULT_POLICY,
    folder: StateFolder = None,
    settings: SettingsFile = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Say that you are looking at a request."""
    with opened(policy, folder, settings) as service:
        actor = acting(service, by, password_file, code)
        done(service.reviewing.take(actor, name), as_json=as_json)


def reconsider(
    name: Name,
    note: Note = "",
    by: By = "",
    password_file: PasswordFile = None,
    code: Code = "",
    policy: PolicyFile = DEFAULT_POLICY,
    folder: StateFolder = None,
    settings: SettingsFile = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Take a recommendation back, or as head send it back to the officer."""
    with opened(policy, folder, settings) as service:
        actor = acting(service, by, password_file, code)
        done(service.reviewing.reconsider(actor, name, note), as_json=as_json)


def block_now(
    name: Name,
    note: Note = "",
    target: Annotated[
        list[str] | None, typer.Option("--target", help="What is blocked; default: the narrowest.")
    ] = None,
    whom: Annotated[
        list[str] | None, typer.Option("--for", help="Networks or devices; default: as suggested.")
    ] = None,
    until: Annotated[str, typer.Option("--until", help="Last day or instant, such as 2026-12-18.")] = "",
    rule: Annotated[
        int | None, typer.Option("--rule", help="Add it to this rule for good, counted from 0.", min=0)
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", help="As it will stand in policy.yaml.", metavar="TEXT")
    ] = "",
    by: By = "",
    password_file: PasswordFile = None,
    code: Code = "",
    policy: PolicyFile = DEFAULT_POLICY,
    folder: StateFolder = None,
    settings: SettingsFile = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Block what was reported, at once; exit 1 where policy.yaml could not be written."""
    with opened(policy, folder, settings) as service:
        actor = acting(service, by, password_file, code)
        case = service.queue.case(actor, name)
        grant = changed(case.grant, service.office.zone, target, whom, until, None, reason)
        if rule is not None:
            grant = replace(grant, rule=rule, until=None)
        moved = service.reviewing.block_now(actor, name, grant, note, case.request.version)
        done(moved, as_json=as_json)


def settle(
    name: Name,
    answer: Answer = "",
    note: Note = "",
    by: By = "",
    password_file: PasswordFile = None,
    code: Code = "",
    policy: PolicyFile = DEFAULT_POLICY,
    folder: StateFolder = None,
    settings: SettingsFile = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Close a report that was dealt with, without a change of the policy."""
    with opened(policy, folder, settings) as service:
        actor = acting(service, by, password_file, code)
        done(service.reviewing.settle(actor, name, answer, note), as_json=as_json)


def hold(
    name: Name,
    reason: Annotated[str, typer.Option("--reason", help="Why it must not be purged.", metavar="TEXT")],
    by: By = "",
    password_file: PasswordFile = None,
    code: Code = "",
    policy: PolicyFile = DEFAULT_POLICY,
    folder: StateFolder = None,
    settings: SettingsFile = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Keep a case from being purged, as head, DSL or data protection officer."""
    _hold(name, reason, by, password_file, code, policy, folder, settings, as_json=as_json)


def release(
    name: Name,
    by: By = "",
    password_file: PasswordFile = None,
    code: Code = "",
    policy: PolicyFile = DEFAULT_POLICY,
    folder: StateFolder = None,
    settings: SettingsFile = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Let a case that was held be purged like any other."""
    _hold(name, "", by, password_file, code, policy, folder, settings, as_json=as_json)


def _hold(
    name: str,
    reason: str,
    by: By,
    password_file: PasswordFile,
    code: Code,
    policy: PolicyFile,
    folder: StateFolder,
    settings: SettingsFile,
    *,
    as_json: bool,
) -> None:
    from schoolgate.commands import as_json as json_out

    with opened(policy, folder, settings) as service:
        actor = acting(service, by, password_file, code)
        held = service.queue.hold(actor, name, reason)
        if as_json:
            json_out.echo({"id": held.id, "state": held.state, "hold": held.hold})
        else:
            typer.echo(f"{held.id} is {held.state}, {_HELD if held.hold else 'and not held any more'}")
