"""The trail of a verdict: everything the engine looked at, in the order of judgement, and why it did or did not match."""

from dataclasses import dataclass
from datetime import UTC, datetime

from schoolgate_policy.clients import Client
from schoolgate_policy.compile import Compiled, Entry, Profile
from schoolgate_policy.decision import Attempt, Decision, Reason, Step, Verdict
from schoolgate_policy.index import Hits
from schoolgate_policy.lists.spec import Standing
from schoolgate_policy.model import Policy, Target

_SHOWN_TARGETS = 4


@dataclass(frozen=True, slots=True)
class Narrator:
    """Tells how one decision came about, from the same entries and index that the engine judged by."""

    policy: Policy
    compiled: Compiled
    profile: Profile
    client: Client
    attempt: Attempt
    decision: Decision

    def steps(self) -> tuple[Step, ...]:
        """Return the steps up to the one that decided, which is the last."""
        reason = self.decision.reason
        steps = [self._locked()]
        if reason is Reason.LOCKED:
            return tuple(steps)
        hits = self._hits()
        steps += self._always(hits)
        if reason is Reason.ALWAYS_ALLOW:
            return tuple(steps)
        if self.profile.sanction is not None:
            steps.append(self._sanction())
            if reason is Reason.SANCTION:
                return tuple(steps)
        for number, entry in enumerate(self.compiled.entries):
            if entry.reason is Reason.ALWAYS_ALLOW or (
                entry.age is not None and entry.age != self.profile.age
            ):
                continue
            step = self._entry(number, entry, hits)
            steps.append(step)
            if step.matched and not self._is_page_block(number, entry, hits):
                return tuple(steps)
        return (*steps, self._otherwise())

    def _hits(self) -> Hits:
        """Look at a shared name as the service that decided, and at a site as what it shows itself to be."""
        attempt = self.attempt
        hits = self.compiled.look_up(self.decision.host, attempt.path, attempt.within, attempt.shows)
        service = self.decision.service
        return next((one for one in hits.shared if one.service and one.service.id == service), hits)

    def _locked(self) -> Step:
        matched = self.decision.reason is Reason.LOCKED
        count = len(self.compiled.locked) - 1  # the canary is no list of the school
        missing = sum(
            status.spec.locked and status.standing is Standing.NOT_SUPPLIED
            for status in self.policy.list_status
        )
        absent = f" ({missing} not supplied)" if missing else ""
        because = "it is on a locked list" if matched else f"on none of {count} locked lists{absent}"
        return Step("locked", "", matched=matched, because=because)

    def _always(self, hits: Hits) -> list[Step]:
        for number, entry in enumerate(self.compiled.entries):
            if entry.reason is Reason.ALWAYS_ALLOW and (hits.sure | hits.maybe) >> number & 1:
                return [
                    Step("always_allow", entry.source, matched=True, because=f"it names {entry.targets[0]}")
                ]
        count = len(self.policy.always_allow)
        return [
            Step("always_allow", "", matched=False, because=f"none of its {count} entries covers the host")
        ]

    def _sanction(self) -> Step:
        sanction = self.profile.sanction
        assert sanction is not None  # noqa: S101 - asked for only where there is one
        at = self.attempt.at.astimezone(UTC)
        active, change = sanction.state(at)
        state = "in force until" if active else "lifted until" if change else "ended at"
        return Step("sanction", "", matched=active, because=f"{state} {self._local(change or sanction.ends)}")

    def _entry(self, number: int, entry: Entry, hits: Hits) -> Step:
        matched, because = self._why(number, entry, hits)
        return Step(entry.what, entry.source, matched=matched, because=because)

    def _why(self, number: int, entry: Entry, hits: Hits) -> tuple[bool, str]:
        sure, maybe = hits.sure >> number & 1, hits.maybe >> number & 1
        if not entry.applies_to(self.client, self.profile.age):
            return False, f"for {', '.join(sorted(entry.networks | entry.devices))}, not for {self._who()}"
        if not sure and not maybe:
            where = f" as a part of {_named(entry.within)}" if entry.within else ""
            return False, f"speaks of {_listed(entry)}{where}, not of this"
        active, change = entry.state(self.attempt.at.astimezone(UTC))
        if not active:
            return False, self._not_now(entry, change)
        if not entry.speaks_of(self.attempt.method):
            methods = ", ".join(sorted(entry.methods))
            return (
                False,
                f"allows {_listed(entry)} to be asked for by {methods}, not by {self.attempt.method}",
            )
        scope = (
            f"{entry.verdict}s some page below the host" if maybe else f"{entry.verdict}s {_listed(entry)}"
        )
        through = hits.list_of(1 << number)
        return True, f"{scope}{self._list(through)}{f', during {entry.when}' if entry.when.parts else ''}"

    def _list(self, name: str | None) -> str:
        if name is None:
            return ""
        spec = self.compiled.lists.get(name)
        reason = f": {spec.reason}" if spec and spec.reason else ""
        return f" (it is on list {name}{reason})"

    def _not_now(self, entry: Entry, change: datetime | None) -> str:
        if entry.ends is not None and change is None:
            return (
                f"ended at {self._local(entry.ends)}"
                if self.attempt.at >= entry.ends
                else "not in force again"
            )
        if entry.starts is not None and change == entry.starts:
            return f"starts at {self._local(entry.starts)}"
        after = f"; next change at {self._local(change)}" if change else ""
        return f"only during {entry.when}{after}"

    def _otherwise(self) -> Step:
        network = self.profile.network
        because = f"nothing above matched; network {network.id} says {network.otherwise}"
        return Step("otherwise", network.source, matched=True, because=because)

    def _is_page_block(self, number: int, entry: Entry, hits: Hits) -> bool:
        return bool(hits.maybe >> number & 1) and entry.verdict is Verdict.BLOCK

    def _who(self) -> str:
        devices = f" ({', '.join(self.client.devices)})" if self.client.devices else ""
        return f"{self.client.network}{devices}"

    def _local(self, at: datetime) -> str:
        return at.astimezone(self.policy.calendar.zone).isoformat(timespec="minutes")


def _listed(entry: Entry) -> str:
    return _named(entry.targets)


def _named(targets: tuple[Target, ...]) -> str:
    names = [str(target) for target in targets]
    more = f" and {len(names) - _SHOWN_TARGETS} more" if len(names) > _SHOWN_TARGETS else ""
    return ", ".join(names[:_SHOWN_TARGETS]) + more
