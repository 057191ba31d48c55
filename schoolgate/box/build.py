"""From the settings to the agent of a box."""

from schoolgate.box.agent import Agent
from schoolgate.box.client import Client
from schoolgate.box.enrolled import is_enrolled
from schoolgate.box.home import Home
from schoolgate.box.spool import Spool
from schoolgate.box.take import Taker
from schoolgate.events.receiver import EventReceiver
from schoolgate.events.sender import SOCKET
from schoolgate.metrics_box import box_metrics
from schoolgate.metrics_centre import BoxMetrics
from schoolgate.metrics_events import EventMetrics
from schoolgate.part import Surroundings
from schoolgate_policy.engine import Engine


def build_agent(around: Surroundings) -> Agent:
    """Return the agent; raises OSError and ValueError where this box is under no centre, or its files are damaged."""
    settings, state = around.settings, around.settings.state
    home = Home(state)
    if not is_enrolled(state):
        raise ValueError("this box is under no centre; `schoolgate box enrol CODE` puts it there")
    centre, key = home.centre(), home.key()
    client = Client(centre, key)
    counters = BoxMetrics(around.metrics.registry)
    events = EventMetrics(around.metrics, around.recorder)
    box_metrics(around.metrics.registry, state)
    spool = Spool(state, settings.box.spool, events.dropped)
    agent = Agent(
        home,
        Taker(home, centre, client, around.store.path, state),
        client,
        spool,
        EventReceiver(state / SOCKET, spool, events),
        counters,
        around.recorder,
        poll=settings.box.poll,
        health=lambda: {"policy": _in_force(around.store.engine)},
        where=centre.url,
    )
    counters.watch(lambda: agent.heard, spool.waiting, lambda: home.held().version)
    return agent


def _in_force(engine: Engine) -> str:
    """Return what is wrong with the policy in force; empty: nothing."""
    refused = [status.spec.name for status in engine.policy.list_status if status.refused]
    return f"lists refused: {', '.join(refused)}" if refused else ""
