"""What the policy in force holds, and what of it is in force at this moment, as metrics of every process."""

from collections.abc import Iterator
from datetime import datetime, time, timedelta

from prometheus_client import CollectorRegistry

from schoolgate.metrics_live import Live, LiveMetrics, Values, one
from schoolgate_policy.lists.spec import ListStatus, Standing
from schoolgate_policy.model import Policy
from schoolgate_policy.ports import Clock, PolicySource


class PolicyMetrics:
    """Reads the policy in force whenever somebody asks; no count is kept here."""

    def __init__(self, registry: CollectorRegistry, source: PolicySource, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        LiveMetrics(registry, (*self._of_policy(), *self._of_lists()))

    def _of_policy(self) -> Iterator[Live]:
        yield Live(
            "schoolgate_policy_review_due_timestamp_seconds",
            "When the policy must be looked at again (`review: due`); missing where it does not say.",
            self._review,
        )
        yield Live(
            "schoolgate_policy_rules", "Rules of the policy in force.", lambda: one(len(self._policy.rules))
        )
        yield Live(
            "schoolgate_policy_exceptions",
            "Exceptions that have not ended.",
            self._exceptions,
            ("standing",),
        )
        yield Live(
            "schoolgate_sanctions_in_force",
            "Devices that are restricted to what is always allowed, as this process knows it.",
            self._sanctions,
        )
        yield Live(
            "schoolgate_network_info",
            "Who uses a network; join it to tell pupils' alerts from staff's.",
            lambda: (((one.id, one.people), 1) for one in self._policy.networks.values()),
            ("network", "people"),
        )
        yield Live(
            "schoolgate_schedule_in_force",
            "1 while a schedule of the policy is in force.",
            self._schedules,
            ("schedule",),
        )

    def _of_lists(self) -> Iterator[Live]:
        yield Live(
            "schoolgate_list_names",
            "Hosts and pages on a list; 0 where it was not supplied or not fetched yet.",
            lambda: ((_label(status), status.names) for status in self._policy.list_status),
            ("list",),
        )
        yield Live(
            "schoolgate_list_age_seconds",
            "Time since the content of a list was changed or confirmed.",
            self._ages,
            ("list",),
        )
        yield Live(
            "schoolgate_list_current",
            "1 where a list is what its source brings; 0 where that was refused, or there is none.",
            lambda: (
                (_label(status), status.standing is Standing.IN_USE) for status in self._policy.list_status
            ),
            ("list",),
        )

    @property
    def _policy(self) -> Policy:
        return self._source.engine.policy

    def _review(self) -> Values:
        policy = self._policy
        if policy.review is None:
            return ()
        after = datetime.combine(policy.review.due + timedelta(days=1), time(), policy.calendar.zone)
        return one(after.timestamp())  # a date that something is due by ends with its day

    def _exceptions(self) -> Values:
        now = self._clock()
        left = [rule for rule in self._policy.exceptions if rule.ends > now]
        begun = sum(rule.starts <= now for rule in left)
        return [(("in_force",), begun), (("to_come",), len(left) - begun)]

    def _sanctions(self) -> Values:
        now = self._clock()
        return one(sum(sanction.ends > now for sanction in self._source.engine.sanctions))

    def _schedules(self) -> Values:
        now = self._clock()
        return [((name,), schedule.is_active(now)) for name, schedule in self._policy.schedules.items()]

    def _ages(self) -> Values:
        now = self._clock()
        for status in self._policy.list_status:
            if status.dated is not None:
                yield _label(status), max(0.0, (now - status.dated).total_seconds())


def _label(status: ListStatus) -> tuple[str]:
    return (f"locked:{status.spec.name}" if status.spec.locked else status.spec.name,)
