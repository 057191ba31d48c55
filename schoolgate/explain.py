"""One decision shown with everything that led to it, to people and to programs."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from schoolgate_policy.additions import additions
from schoolgate_policy.decision import Attempt, Decision, Page, Reason, Step
from schoolgate_policy.engine import Engine
from schoolgate_policy.errors import InvalidHost, SchoolgateError
from schoolgate_policy.model import Policy
from schoolgate_policy.names import canonical_host, parse_address
from schoolgate_policy.shown import judge_shown

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_BARE_IPV6 = re.compile(r"[0-9a-fA-F]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*")


class InvalidQuestion(SchoolgateError):  # noqa: N818 - reads as what it is where it is raised and caught
    """A question that cannot be put to the engine."""


def parse_question(url: str, address: str, at: str, policy: Policy, within: str = "") -> Attempt:
    """Make an attempt of what was typed; an empty `at` means now.

    A bare host asks about the name alone; a URL (or a host with a path) about that page, with `within` as a part of
    another one.

    Raises:
        InvalidQuestion: a part of it cannot be read; the message says which.

    """
    if not address:
        raise InvalidQuestion("--from is needed: the address of whoever asks, such as 127.0.20.5")
    try:
        client = str(parse_address(address))
    except ValueError:
        raise InvalidQuestion(f"--from: `{address}` is not an IP address") from None
    host, path = _split_url(url)
    attempt = Attempt(client, host, parse_instant(at, policy.school.timezone), path)
    if not within:
        return attempt
    page, inside = _split_url(within)
    try:
        return replace(attempt, path=path or "/", within=Page(canonical_host(page), inside or "/"))
    except InvalidHost as error:
        raise InvalidQuestion(f"--within: {error}") from None


def explain(engine: Engine, attempt: Attempt) -> tuple[Attempt, Decision]:
    """Judge a question with its trail; where the URL holds a blocked one (an archive, a translator), judge that."""
    decision = engine.explain(attempt)
    if decision.blocked or not decision.open_tls or attempt.path is None:
        return attempt, decision
    shown = judge_shown(engine, attempt, decision, attempt.path)
    if shown is None:
        return attempt, decision
    inner = engine.explain(shown.attempt)
    because = f"{decision.host} itself is allowed, and shows {inner.host} ({shown.technique})"
    step = Step("embedded", "", matched=True, because=because)
    return shown.attempt, replace(inner, considered=(step, *inner.considered))


def _split_url(url: str) -> tuple[str, str | None]:
    if _BARE_IPV6.fullmatch(url):
        return url, None
    has_scheme = bool(_SCHEME.match(url))
    try:
        parts = urlsplit(url if has_scheme else f"//{url}")
        parts.port  # noqa: B018 - reading it checks it
    except ValueError as error:
        raise InvalidQuestion(f"`{url}` is not a URL: {str(error).lower()}") from None
    host = parts.hostname
    if not host:
        raise InvalidQuestion(f"`{url}` names no host; write a URL or a host name, such as www.example.org")
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return host, (path or "/") if has_scheme else (path or None)


def parse_instant(text: str, timezone: str) -> datetime:
    """Read an instant; one without an offset is in the policy's zone, and an empty text is now.

    Raises:
        InvalidQuestion: the text is no instant.

    """
    if not text:
        return datetime.now(UTC)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidQuestion(
            f"--at: `{text}` is not an instant; write 2026-11-23T10:15 or 2026-11-23T10:15Z"
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(timezone))).astimezone(UTC)


def _added(decision: Decision, policy: Policy) -> dict[str, str]:
    """Return the header fields and parameters that the proxy sets on requests which were allowed."""
    network = policy.networks.get(decision.network)
    if network is None or decision.blocked or not decision.open_tls:
        return {}
    found = additions(network, decision.host)
    return {**found.headers, **found.query} if found else {}


def as_mapping(decision: Decision, policy: Policy) -> dict[str, Any]:
    """Return a decision in the form that `explain --json` prints; instants in UTC, ISO 8601."""
    return {
        "verdict": decision.verdict.value,
        "reason": decision.reason.value,
        "message": decision.message,
        "rule": decision.rule,
        "exception": decision.exception,
        "source": decision.source,
        "host": decision.host,
        "service": decision.service,
        "category": decision.category,
        "list": decision.list,
        "network": decision.network,
        "device": decision.device,
        "at": decision.at.isoformat(),
        "valid_until": decision.valid_until.isoformat() if decision.valid_until else None,
        "path_decides": decision.path_decides,
        "adds": _added(decision, policy),
        "considered": [
            {"what": step.what, "source": step.source, "matched": step.matched, "because": step.because}
            for step in decision.considered
        ],
    }


def as_text(attempt: Attempt, decision: Decision, policy: Policy, opens_at: datetime | None) -> str:
    """Return a decision in words: the verdict, its cause, how long it holds, and all that was looked at."""
    zone = ZoneInfo(policy.school.timezone)

    def local(at: datetime) -> str:
        return f"{at.astimezone(zone):%a %d %b %Y %H:%M %Z}"

    device = f", {decision.device}" if decision.device else ""
    lines = [
        f"{'BLOCKED' if decision.blocked else 'ALLOWED'}  {decision.host}{attempt.path or ''}",
        f"  who     {attempt.address} ({decision.network}{device})",
        f"  when    {local(decision.at)}",
        f"  why     {decision.message or _cause(decision)}",
        f"  cause   {_cause(decision)}",
    ]
    if decision.service:
        lines.append(f"  what    service {decision.service}, category {decision.category}")
    if decision.list:
        lines.append(f"  list    {decision.list}")
    lines.append(f"  until   {local(decision.valid_until) if decision.valid_until else 'the policy changes'}")
    if opens_at is not None:
        lines.append(f"  opens   {local(opens_at)}")
    if decision.path_decides:
        lines.append("  pages   some page below this host is judged otherwise; ask with its full URL")
    for name, value in _added(decision, policy).items():
        lines.append(f"  adds    {name}: {value}")
    lines.append("looked at:")
    for step in decision.considered:
        mark = "*" if step.matched else "-"
        where = f" ({step.source})" if step.source else ""
        lines.append(f"  {mark} {step.what}{where}: {step.because}")
    return "\n".join(lines)


def _cause(decision: Decision) -> str:
    where = f", {decision.source}" if decision.source else ""
    match decision.reason:
        case Reason.RULE:
            return f"rules[{decision.rule}]{where}"
        case Reason.EXCEPTION:
            return f"exception {decision.exception}{where}"
        case Reason.OTHERWISE:
            return f"no rule speaks of it; the network's `otherwise`{where}"
        case Reason.ERROR:
            return "it cannot be judged"
        case _:
            return f"{decision.reason.value.replace('_', ' ')}{where}"
