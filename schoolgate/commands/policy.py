"""`schoolgate policy …`: check, explain, schema; test, diff, limits and import-terms have files of their own."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schoolgate.commands import compare, expect, limits, terms
from schoolgate.commands.options import (
    CANNOT_RUN,
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
    from schoolgate_policy.engine import Engine

app = typer.Typer(
    help="Check, question and describe policy.yaml.", no_args_is_help=True, rich_markup_mode=None
)
app.command("test")(expect.check_expectations)
app.command("diff")(compare.diff)
app.command("import-terms")(terms.import_terms)
app.command("limits")(limits.show_limits)


@app.command()
def check(
    file: Annotated[
        Path, typer.Argument(help="The policy to check.", envvar="SCHOOLGATE_POLICY")
    ] = DEFAULT_POLICY,
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings count as errors.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say everything that is wrong with a policy or hardly meant, with its line; exit 1 if it cannot be used."""
    from schoolgate_policy.errors import Severity
    from schoolgate_policy.load import check_policy

    if not file.is_file():
        refuse([f"{file}: no such file"])
    policy, issues = check_policy(
        file, state=read_settings(None).state, today=datetime.now().astimezone().date()
    )
    if as_json:
        typer.echo(json.dumps([asdict(issue) for issue in issues], ensure_ascii=False, indent=2))
    else:
        if policy is not None:
            typer.echo(
                f"{file}: fine: {counted(len(policy.networks), 'network')}, {counted(len(policy.rules), 'rule')}, "
                f"{counted(len(policy.exceptions), 'exception')}, {len(policy.catalogue.services)} known services"
            )
        for issue in issues:
            typer.echo(issue)
    bad = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    raise typer.Exit(int(policy is None or any(issue.severity in bad for issue in issues)))


@app.command()
def schema() -> None:
    """Print the JSON Schema of policy.yaml, which editors use to help and to check."""
    from schoolgate_policy.schema import json_schema

    typer.echo(json.dumps(json_schema(), ensure_ascii=False, indent=2))


@app.command()
def explain(
    url: Annotated[
        str, typer.Argument(help="A URL or a bare host; `-` reads one per line, or JSON objects.")
    ],
    address: Annotated[
        str, typer.Option("--from", help="The address of whoever asks.", metavar="ADDRESS")
    ] = "",
    at: Annotated[str, typer.Option("--at", help="When, such as 2026-11-23T10:15; default: now.")] = "",
    within: Annotated[
        str, typer.Option("--within", help="The page that loads the URL as a part of it.", metavar="URL")
    ] = "",
    policy: PolicyFile = DEFAULT_POLICY,
    state: StateFolder = None,
    settings: SettingsFile = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Say what would happen to somebody who asks for a URL, and why; exit 0 if allowed, 1 if blocked."""
    from schoolgate.explain import InvalidQuestion, as_mapping, as_text, parse_question
    from schoolgate.explain import explain as explained
    from schoolgate_policy.engine import Engine
    from schoolgate_policy.own_host import with_own_host

    box = read_settings(settings, state)
    loaded = read_policy(policy, box.state)
    engine = Engine(with_own_host(loaded, box.portal_host) if box.portal_host else loaded)
    if url == "-":
        raise typer.Exit(_explain_many(engine, typer.get_text_stream("stdin"), address, at))
    try:
        attempt = parse_question(url, address, at, engine.policy, within)
    except InvalidQuestion as error:
        refuse([error])
    attempt, decision = explained(engine, attempt)
    if as_json:
        typer.echo(json.dumps(as_mapping(decision, engine.policy), ensure_ascii=False, indent=2))
    else:
        opens = engine.opens_at(attempt) if decision.blocked else None
        typer.echo(as_text(attempt, decision, engine.policy, opens))
    raise typer.Exit(int(decision.blocked))


def _explain_many(engine: "Engine", lines: Iterable[str], address: str, at: str) -> int:
    """Answer each line with one JSON line; return 2 if a line was no question, else 1 if any is blocked."""
    from schoolgate.explain import InvalidQuestion, as_mapping, parse_question
    from schoolgate.explain import explain as explained

    code = 0
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text:
            continue
        answer: dict[str, Any]
        try:
            asked = _question(text)
            attempt = parse_question(
                asked["url"], asked.get("from", address), asked.get("at", at), engine.policy
            )
            _, decision = explained(engine, attempt)
            answer = {"url": asked["url"], **as_mapping(decision, engine.policy)}
            code = max(code, int(decision.blocked))
        except InvalidQuestion as error:
            answer, code = {"line": number, "error": str(error)}, CANNOT_RUN
        typer.echo(json.dumps(answer, ensure_ascii=False))
    return code


def _question(text: str) -> dict[str, str]:
    """Read a line: a URL, or a JSON object with `url`, `from` and `at`."""
    from schoolgate.explain import InvalidQuestion

    if not text.startswith("{"):
        return {"url": text}
    try:
        asked = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidQuestion(f"not JSON: {error.msg.lower()}") from None
    unknown = set(asked) - {"url", "from", "at"}
    if unknown or "url" not in asked or not all(isinstance(value, str) for value in asked.values()):
        raise InvalidQuestion("a question has the keys `url`, `from` and `at`, all text; `url` is needed")
    return dict(asked)


def counted(number: int, thing: str) -> str:
    """Write `1 rule`, `2 rules`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
