"""Judges what a request shows besides the site it names: an embedded address, or a web proxy told by its files.

Translators, archives and web proxies fetch another site and show it under their own name. The address inside is
judged by the same engine as if it had been asked for directly. What `always_allow` opens is not searched: a form that
takes reports of harmful pages must be able to hold their addresses.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from schoolgate_policy.decision import Attempt, Decision, Reason
from schoolgate_policy.embedded import Embedded, embedded_in, program_at, program_in
from schoolgate_policy.engine import Engine
from schoolgate_policy.technique import Technique


@dataclass(frozen=True, slots=True)
class Shown:
    """What is blocked about a request whose own site is allowed."""

    attempt: Attempt
    decision: Decision
    technique: Technique


def judge_shown(
    engine: Engine,
    attempt: Attempt,
    decision: Decision,
    target: str,
    headers: Iterable[str] = (),
    *,
    websocket: bool = False,
) -> Shown | None:
    """Return what of an allowed request is blocked all the same, None where nothing is.

    `target` is the raw path with its query; `headers` are the lower-case names of the request's fields.
    """
    if decision.reason is Reason.ALWAYS_ALLOW:
        return None
    program = program_at(target, headers, websocket=websocket)
    if program is not None:
        seen = replace(attempt, shows=program.service)
        verdict = engine.decide(seen)
        if verdict.blocked:
            return Shown(seen, verdict, Technique.WEB_PROXY)
    for one in embedded_in(decision.host, target):
        inner = replace(attempt, host=one.host, path=one.path, shows=None)
        verdict = engine.decide(inner)
        if _counts(one, verdict):
            return Shown(inner, verdict, _technique(one))
    return None


def judge_body(
    engine: Engine, attempt: Attempt, decision: Decision, body: bytes, *, script: bool
) -> Shown | None:
    """Return what of an allowed response is blocked: a page or script by which a site shows itself to be a web proxy."""
    program = program_in(body, script=script)
    if program is None or decision.reason is Reason.ALWAYS_ALLOW:
        return None
    seen = replace(attempt, shows=program.service)
    verdict = engine.decide(seen)
    return Shown(seen, verdict, Technique.WEB_PROXY) if verdict.blocked else None


def _counts(one: Embedded, verdict: Decision) -> bool:
    """Whether an embedded address is a reason to block.

    Where no service is known to carry one, an address that no rule speaks of may be a mere parameter: on a network
    that opens only what is listed, it would block the listed sites themselves.
    """
    if not verdict.blocked or verdict.reason is Reason.ERROR:
        return False
    return one.known or verdict.reason is not Reason.OTHERWISE


def _technique(one: Embedded) -> Technique:
    if one.redirects:
        return Technique.OPEN_REDIRECT
    return Technique.EMBEDDED_SITE if one.known else Technique.WEB_PROXY
