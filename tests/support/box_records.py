"""The records of a box in namespaces, opened beside its portal, and the safeguarding lead who is told of its alerts."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from netns_school import Box
from school import PASSWORD

from schoolgate.request_queue import open_service
from schoolgate.settings import Settings
from schoolgate_exceptions.accounts import Holding
from schoolgate_exceptions.roles import SYSTEM, Role
from schoolgate_exceptions.service import Service
from schoolgate_policy.engine import Engine
from schoolgate_policy.load import load_policy

DSL = "dsl@school.example"


class _Source:
    def __init__(self, policy: Path) -> None:
        self.engine = Engine(load_policy(policy))


def records(box: Box) -> Service:
    """Open the records of a box; close them again."""
    return open_service(Settings(state=box.state), box.policy, _Source(box.policy), lambda: datetime.now(UTC))


def add_lead(box: Box) -> None:
    """Make the account of the safeguarding lead: an alert that begins before goes to the headteacher, and is not told twice."""
    with closing(records(box)) as service:
        service.accounts.add(SYSTEM, DSL, "A lead", [Holding(Role.DSL)], password=PASSWORD)
