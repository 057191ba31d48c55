"""`schoolgate policy test`: expectations written in YAML, run like unit tests."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schoolgate.commands.options import DEFAULT_POLICY, AsJson, read_policy, refuse

if TYPE_CHECKING:
    from schoolgate_policy.expectations import Result
    from schoolgate_policy.model import Policy


def check_expectations(
    files: Annotated[list[Path], typer.Argument(help="Expectation files.", metavar="FILE...")],
    policy: Annotated[
        Path | None,
        typer.Option(
            "--policy", metavar="FILE", help="Which policy; default: what each file names, else policy.yaml."
        ),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Judge everything that the files expect of a policy; exit 1 if anything comes out otherwise."""
    results: list[Result] = []
    policies: dict[Path, Policy] = {}
    for file in files:
        results += _run(file, policy, policies)
    failed = [result for result in results if result.failures]
    if as_json:
        typer.echo(json.dumps([_as_mapping(result) for result in results], ensure_ascii=False, indent=2))
    else:
        for result in failed:
            typer.echo(_as_text(result))
        summary = f"{len(failed)} failed, " if failed else ""
        where = "1 expectation file" if len(files) == 1 else f"{len(files)} expectation files"
        typer.echo(f"{summary}{len(results) - len(failed)} passed, in {where}")
    raise typer.Exit(int(bool(failed)))


def _run(file: Path, chosen: Path | None, policies: "dict[Path, Policy]") -> "list[Result]":
    """Run one file; a file or policy that cannot be read ends the command with a line for each mistake."""
    from schoolgate_policy.expectations import parse_expectations

    try:
        data = file.read_bytes()
    except OSError as error:
        refuse([f"{file}: cannot be read: {error.strerror}"])
    expectations, issues = parse_expectations(data, str(file))
    if expectations is None:
        refuse(issues)
    named = file.parent / expectations.policy if expectations.policy else DEFAULT_POLICY
    path = chosen or named
    if path not in policies:
        policies[path] = read_policy(path)
    cases, issues = expectations.cases(policies[path])
    if issues:
        refuse(issues)
    return list(expectations.run(policies[path], cases))


def _as_text(result: "Result") -> str:
    case = result.case
    lines = [
        f"FAILED {result.where}: {case.who}, {case.what}, {case.when}: {'; '.join(result.failures)}",
        f"    decided by {result.because}",
    ]
    if case.expected.because:
        lines.append(f"    expected because {case.expected.because}")
    return "\n".join(lines)


def _as_mapping(result: "Result") -> dict[str, Any]:
    case, decision = result.case, result.decision
    return {
        "where": result.where,
        "who": case.who,
        "what": case.what,
        "when": case.when,
        "at": case.attempt.at.isoformat(),
        "expect": case.expected.expect.value,
        "verdict": decision.verdict.value,
        "passed": not result.failures,
        "failures": list(result.failures),
        "decided_by": result.because,
        "because": case.expected.because,
    }
