"""Lists on the command line, in the metrics, and kept fresh by the portal's process."""

import asyncio
import json
import threading
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from running import PUPIL, ROOT, schoolgate

from schoolgate.list_refresh import ListRefresher
from schoolgate.metrics_policy import PolicyMetrics
from schoolgate_policy.engine import Engine
from schoolgate_policy.lists.fetch import Fetched
from schoolgate_policy.load import check_policy

LISTS = """\
lists:
  games: {file: games.txt, reason: a games site, licence: CC BY 4.0}
  web: {url: 'https://127.0.0.1:1/list.txt', refresh: 12 hours}
locked:
  iwf: {}
  police: {file: police.txt}
"""


@pytest.fixture
def folder(tmp_path):
    text = (ROOT / "policy.yaml").read_text()
    assert "\nlists:" not in text
    assert "\nlocked:" not in text
    rule = "rules:\n  - {block: 'list:games', reason: no games}\n"
    (tmp_path / "policy.yaml").write_text(text.replace("\nrules:\n", f"\n{LISTS}\n{rule}", 1))
    (tmp_path / "games.txt").write_text("".join(f"game{n}.example\n" for n in range(20)))
    (tmp_path / "police.txt").write_text("terrible.example\nsite.example/awful\n")
    return tmp_path


def shown(folder, *options):
    done = schoolgate("policy", "lists", "--json", *options, cwd=folder)
    return done, {one["name"]: one for one in json.loads(done.stdout)}


def test_every_list_is_shown_with_what_is_known_of_it(folder):
    """Counts, date, licence, age, digest and state of each; exit code 1, as two lists are not there."""
    done, lists = shown(folder)
    assert done.returncode == 1
    assert {name: one["state"] for name, one in lists.items()} == {
        "games": "in use", "web": "not fetched yet", "iwf": "not supplied", "police": "in use",
    }  # fmt: skip
    games = lists["games"]
    assert (games["names"], games["licence"], games["format"]) == (20, "CC BY 4.0", "domains")
    assert games["age_seconds"] < 600
    assert len(games["digest"]) == 12
    assert (lists["police"]["names"], lists["police"]["pages"]) == (1, 1)
    text = schoolgate("policy", "lists", cwd=folder).stdout
    assert "locked iwf: not supplied" in text
    assert "entries   20 names, 0 pages (domains)" in text
    assert not any(word in text + done.stdout for word in ("terrible", "awful", "site.example"))


def test_what_cannot_be_fetched_is_told(folder):
    """One line on stderr with the URL and the reason."""
    done, _ = shown(folder, "--refresh")
    assert done.returncode == 1
    assert done.stderr == "https://127.0.0.1:1/list.txt: cannot be fetched: Connection refused\n"


def test_accepting_an_unknown_list_cannot_run(folder):
    """A wrong name is one line and exit code 2."""
    done = schoolgate("policy", "lists", "--accept", "nothing", cwd=folder)
    assert (done.returncode, done.stderr) == (2, "--accept: no list `nothing` in the policy\n")


def test_looking_changes_nothing(folder):
    """Showing, checking and explaining leave no state behind."""
    before = sorted(folder.rglob("*"))
    schoolgate("policy", "lists", cwd=folder)
    schoolgate("policy", "check", cwd=folder)
    schoolgate("policy", "explain", "game1.example", "--from", PUPIL, cwd=folder)
    assert sorted(folder.rglob("*")) == before


def test_explain_names_the_list(folder):
    """The verdict says on which list a host is, in words and in JSON; a locked list is not named."""
    done = schoolgate("policy", "explain", "www.game1.example", "--from", PUPIL, "--json", cwd=folder)
    answer = json.loads(done.stdout)
    assert (answer["list"], answer["message"], answer["rule"]) == ("games", "a games site", 0)
    text = schoolgate("policy", "explain", "www.game1.example", "--from", PUPIL, cwd=folder).stdout
    assert "list    games" in text
    locked = schoolgate(
        "policy", "explain", "https://site.example/Awful/", "--from", PUPIL, "--json", cwd=folder
    )
    assert json.loads(locked.stdout)["reason"] == "locked"
    assert "police" not in locked.stdout


def test_the_metrics_tell_of_every_list(folder):
    """How many names, how old, whether current; by the names of the policy, which are few."""
    policy, _ = check_policy(folder / "policy.yaml")
    assert policy is not None
    registry = CollectorRegistry()
    source = SimpleNamespace(engine=Engine(policy))
    PolicyMetrics(registry, source, lambda: datetime.now(UTC))
    text = generate_latest(registry).decode()
    assert 'schoolgate_list_names{list="games"} 20.0' in text
    assert 'schoolgate_list_names{list="locked:police"} 2.0' in text
    assert 'schoolgate_list_current{list="locked:iwf"} 0.0' in text
    assert 'schoolgate_list_age_seconds{list="games"}' in text
    source.engine = Engine(replace(policy, list_status=()))
    assert "schoolgate_list_names{" not in generate_latest(registry).decode()


def test_the_portal_fetches_what_is_due_and_outlives_failures(folder):
    """Lists are looked after from the start; a fetcher that fails is a fault that is counted, not the end."""
    policy, _ = check_policy(folder / "policy.yaml")
    assert policy is not None
    asked, faults = [], []
    fetched, failed = threading.Event(), threading.Event()

    class Fetcher:
        """Remembers what it was asked for."""

        def refresh(self, specs):
            asked.append([spec.name for spec in specs])
            if len(asked) > 1:
                raise OSError("no space")
            fetched.set()
            return [Fetched(spec, changed=True) for spec in specs if spec.url]

    def fault(area, error):
        faults.append((area, str(error)))
        failed.set()

    async def run():
        source = SimpleNamespace(engine=SimpleNamespace(policy=policy))
        for event in (fetched, failed):
            refresher = ListRefresher(Fetcher(), source, SimpleNamespace(fault=fault))
            refresher.start()
            assert await asyncio.to_thread(event.wait, 5)
            await refresher.stop()

    asyncio.run(run())
    assert asked == [["iwf", "police", "games", "web"]] * 2
    assert faults == [("policy", "no space")]
