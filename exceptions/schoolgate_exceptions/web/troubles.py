"""What is wrong with the filter, in words: what it means, and what to do. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from schoolgate_exceptions.condition import Condition, MailState, PartsState
from schoolgate_exceptions.model import AccessRequest
from schoolgate_exceptions.probe_record import Outcome, ProbeRun, Result
from schoolgate_exceptions.web.words import Words

_CHECKED_WITHIN = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that needs somebody; `weight` is `bad` where the filter itself is hurt, else `warn`."""

    weight: str
    text: str
    do: str
    href: str = ""


def troubles(condition: Condition, unwritten: Iterable[AccessRequest], t: Words) -> Sequence[Trouble]:
    """Return everything that needs somebody, the worst first."""
    found = [
        *_parts(condition.box, t),
        *(
            Trouble("bad", t("home.unwritten", id=one.id), t("home.unwritten-do"), f"/queue/{one.id}")
            for one in unwritten
        ),
        *_mail(condition.mail, t),
        *_jobs(condition, t),
        *_check(condition, t),
    ]
    if condition.review_due is not None:
        found.append(
            Trouble("warn", t("home.review", day=t.day(condition.review_due)), t("home.review-do"), "/policy")
        )
    return sorted(found, key=lambda one: one.weight)


def _parts(box: PartsState, t: Words) -> Iterator[Trouble]:
    if not box.told:
        yield Trouble("bad", t("home.silent"), t("home.silent-do"))
    elif not box.parts:
        yield Trouble("warn", t("home.unasked"), t("home.unasked-do"))
    for one in box.parts:
        if one.problem:
            means = f"home.off-{one.name}"
            text = t("home.broken", part=t.of("home.part-", one.name), problem=one.problem)
            do = t("home.off-do", part=one.name)
            yield Trouble("bad", text, f"{t(means)} {do}" if t.has(means) else do)
    if box.firewall is not None and not box.firewall.loaded:
        yield Trouble("bad", t("home.firewall-off", problem=box.firewall.problem), t("home.firewall-do"))


def _mail(mail: MailState, t: Words) -> Iterator[Trouble]:
    if mail.waiting and not mail.sends:
        yield Trouble("warn", t("home.mail-none", count=mail.waiting), t("home.mail-none-do"))
    elif mail.failing:
        text = t("home.mail-failing", count=mail.failing, problem=mail.problem)
        yield Trouble("warn", text, t("home.mail-failing-do"))
    if mail.given_up:
        yield Trouble("warn", t("home.mail-lost", count=mail.given_up), t("home.mail-lost-do"))


def _jobs(condition: Condition, t: Words) -> Iterator[Trouble]:
    for job, why in condition.jobs.items():
        if job != "mail" or not condition.mail.failing:  # letters are told of above
            yield Trouble("warn", t("home.job", job=t.of("home.job-", job), problem=why), t("home.job-do"))
    if condition.jobs_late:
        yield Trouble("bad", t("home.jobs-late"), t("home.jobs-late-do"))


def _check(condition: Condition, t: Words) -> Iterator[Trouble]:
    run: ProbeRun | None = condition.check
    if run is None:
        yield Trouble("warn", t("home.unchecked"), t("home.check-do"), "/checks")
        return
    if run.outcome is Outcome.FAILED:
        text = t("checks.was-broken", count=run.count(Result.BROKEN), when=t.when(run.ended_at))
        yield Trouble("bad", text, t("home.check-broken-do"), f"/checks/{run.id}")
    elif not run.reached:
        yield Trouble("warn", t("checks.nothing"), t("home.check-do"), "/checks")
    if condition.at - run.ended_at > _CHECKED_WITHIN:
        yield Trouble("warn", t("checks.late"), t("home.check-do"), "/checks")
