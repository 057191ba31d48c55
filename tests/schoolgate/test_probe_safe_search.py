"""The probe tries safe search: a resolver that leads engines to themselves is red for each of them, a good one is green."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from running import PUPIL, ROOT, InternetThread, Running

from schoolgate.probe.asking import Device
from schoolgate.probe.promises import Asker, checks
from schoolgate.settings import Endpoint
from schoolgate_exceptions.probe_record import Kind, Result
from schoolgate_policy.engine import Engine
from schoolgate_policy.load import load_policy

pytestmark = pytest.mark.timeout(300)


def results(policy: Path, dns: tuple[str, int]) -> Counter[Result]:
    """Ask a resolver as a pupil for every engine that has a safe form."""
    engine = Engine(load_policy(policy))
    device = Device(PUPIL, Endpoint(*dns), None)
    who = Asker(engine.policy.networks["pupils"], PUPIL, device, lambda: engine, lambda: datetime.now(UTC))
    return Counter(one.look()[0] for one in checks(who) if one.kind is Kind.SAFE_SEARCH)


def test_an_engine_that_is_led_to_itself_is_red(tmp_path):
    """Every engine is green through the sinkhole, and every one red where safe search is broken."""
    text = (ROOT / "policy.yaml").read_text()
    strict = text.replace("    inspection: all\n", "    inspection: all\n    safe_search: strict\n", 1)
    assert strict != text
    (tmp_path / "policy.yaml").write_text(strict)
    with InternetThread() as internet:
        running = Running(tmp_path, internet)
        try:
            well = results(running.policy, running.wait_ready().address("dns"))
        finally:
            running.stop()
        broken = results(running.policy, internet.resolver)
    assert set(well) == {Result.KEPT}
    assert well[Result.KEPT] >= 3
    assert broken == Counter({Result.BROKEN: well[Result.KEPT]})
