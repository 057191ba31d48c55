"""The policy in force: swapped only for a good one, and found again after a restart."""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from policies import HEAD

from schoolgate_policy.decision import Attempt
from schoolgate_policy.errors import PolicyError, PolicyIssue
from schoolgate_policy.model import Policy
from schoolgate_policy.store import PolicyStore

GOOD = HEAD + "rules: [{block: facebook, reason: no}]\n"
BETTER = HEAD + "rules: [{block: [facebook, twitter], reason: no}]\n"
BROKEN = HEAD + "rules: [{block: facebok, reason: no}]\n"


class Heard:
    """Remembers what a store tells."""

    def __init__(self) -> None:
        self.loaded: list[Policy] = []
        self.warnings: list[PolicyIssue] = []
        self.rejected: list[tuple[tuple[PolicyIssue, ...], str | None]] = []

    def policy_loaded(self, policy: Policy, issues: tuple[PolicyIssue, ...]) -> None:
        self.loaded.append(policy)
        self.warnings += issues

    def policy_rejected(self, issues: tuple[PolicyIssue, ...], *, kept: str | None) -> None:
        self.rejected.append((issues, kept))


def blocked(store: PolicyStore, host: str, address: str = "10.20.0.5") -> bool:
    """Ask the engine in force."""
    return store.engine.decide(Attempt(address, host, datetime(2026, 11, 23, 10, tzinfo=UTC))).blocked


@pytest.fixture
def heard() -> Heard:
    """Return a listener."""
    return Heard()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a good policy on disk."""
    path = tmp_path / "policy" / "policy.yaml"
    path.parent.mkdir()
    path.write_text(GOOD)
    return path


def test_a_good_change_is_swapped_in(file: Path, heard: Heard, tmp_path: Path) -> None:
    """After a reload the new policy decides, and its version is told."""
    store = PolicyStore(file, tmp_path / "state", heard)
    assert not blocked(store, "x.com")
    file.write_text(BETTER)
    assert store.reload()
    assert blocked(store, "x.com")
    assert len({policy.version for policy in heard.loaded}) == 2


def test_a_broken_change_changes_nothing(file: Path, heard: Heard, tmp_path: Path) -> None:
    """The old policy stays, and the reason is told with line and column."""
    store = PolicyStore(file, tmp_path / "state", heard)
    file.write_text(BROKEN)
    assert not store.reload()
    assert blocked(store, "facebook.com")
    [(issues, kept)] = heard.rejected
    assert kept == heard.loaded[0].version
    assert str(issues[0]).startswith("policy.yaml:18:17: rules[0].block: unknown service")


def test_a_deleted_file_changes_nothing(file: Path, heard: Heard, tmp_path: Path) -> None:
    """Between an editor's delete and create the old policy stays."""
    store = PolicyStore(file, tmp_path / "state", heard)
    file.unlink()
    assert not store.reload(force=False)
    assert blocked(store, "facebook.com")
    assert "cannot be read: No such file or directory" in str(heard.rejected[0][0][0])


def test_unchanged_files_are_not_read_again(file: Path, heard: Heard, tmp_path: Path) -> None:
    """Without a change there is no reload, unless it is asked for."""
    store = PolicyStore(file, tmp_path / "state", heard)
    assert store.reload(force=False)
    assert len(heard.loaded) == 1
    assert store.reload()
    assert len(heard.loaded) == 2


def test_a_start_with_a_broken_file_uses_the_last_good_copy(file: Path, heard: Heard, tmp_path: Path) -> None:
    """After a reboot with a mistake in the file the school is filtered as before."""
    PolicyStore(file, tmp_path / "state", heard)
    file.write_text(BROKEN)
    store = PolicyStore(file, tmp_path / "state", heard)
    assert blocked(store, "facebook.com")
    assert heard.rejected[-1][1] == heard.loaded[0].version


def test_a_start_without_any_good_policy_is_refused(file: Path, heard: Heard, tmp_path: Path) -> None:
    """With nothing to judge by, the program does not start, and says why."""
    file.write_text(BROKEN)
    with pytest.raises(PolicyError, match="unknown service `facebok`"):
        PolicyStore(file, tmp_path / "state", heard)
    assert heard.rejected[-1][1] is None
    with pytest.raises(PolicyError, match="cannot be read"):
        PolicyStore(tmp_path / "none.yaml", None, heard)


def test_a_state_folder_that_cannot_be_written_is_only_a_warning(
    file: Path, heard: Heard, tmp_path: Path
) -> None:
    """The filter works on; the warning says what was lost."""
    (tmp_path / "state").write_text("a file where the folder should be")
    store = PolicyStore(file, tmp_path / "state", heard)
    assert blocked(store, "facebook.com")
    assert "no copy kept" in str(heard.warnings[0])


def test_sanctions_come_from_the_state_folder(file: Path, heard: Heard, tmp_path: Path) -> None:
    """A sanctioned device is restricted as soon as the portal has written the file; a broken one changes nothing."""
    state = tmp_path / "state"
    store = PolicyStore(file, state, heard)
    entry = {
        "address": "10.20.0.9",
        "until": "2026-12-01T00:00:00Z",
        "reason": "supervised",
        "allow": ["bbc.co.uk"],
    }
    (state / "sanctions.json").write_text(json.dumps({"sanctions": [entry]}))
    assert store.reload(force=False)
    assert blocked(store, "wikipedia.org", "10.20.0.9")
    assert not blocked(store, "bbc.co.uk", "10.20.0.9")
    assert not blocked(store, "wikipedia.org", "10.20.0.8")
    (state / "sanctions.json").write_text('{"sanctions": [{"address": "nobody"}]}')
    assert not store.reload(force=False)
    assert blocked(store, "wikipedia.org", "10.20.0.9")
    (state / "sanctions.json").write_text(json.dumps({"sanctions": [entry | {"allow": ["bbcc"]}]}))
    assert not store.reload(force=False)
    assert "unknown service `bbcc`" in str(heard.rejected[-1][0][0])


def _wait(condition: Callable[[], bool], seconds: float = 5.0) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.01)
    return time.monotonic() - began


@pytest.mark.parametrize("how", ["write", "replace"])
def test_the_file_is_followed(file: Path, heard: Heard, tmp_path: Path, how: str) -> None:
    """A change is noticed by itself, whether the editor writes into the file or puts a new one in its place."""

    async def run() -> None:
        store = PolicyStore(file, tmp_path / "state", heard)
        stop = asyncio.Event()
        watching = asyncio.create_task(store.watch(stop))
        await asyncio.sleep(0.2)
        if how == "write":
            file.write_text(BETTER)
        else:
            beside = file.with_name(".policy.yaml.swp")
            beside.write_text(BETTER)
            beside.replace(file)
        await asyncio.to_thread(_wait, lambda: blocked(store, "x.com"))
        file.write_text(BROKEN)
        await asyncio.to_thread(_wait, lambda: bool(heard.rejected))
        assert blocked(store, "x.com")
        stop.set()
        await asyncio.wait_for(watching, 5)

    asyncio.run(run())


def test_a_list_file_is_followed(file: Path, heard: Heard, tmp_path: Path) -> None:
    """A changed block list is a changed policy."""
    names = file.with_name("games.txt")
    names.write_text("games.example\n")
    file.write_text(HEAD + "lists: {games: {file: games.txt}}\nrules: [{block: 'list:games', reason: no}]\n")
    store = PolicyStore(file, tmp_path / "state", heard)
    names.write_text("games.example\n0.0.0.0 other.example # hosts format\n")
    assert store.reload(force=False)
    assert blocked(store, "www.other.example")
    names.write_text("two words here\n")
    assert not store.reload(force=False)
    assert "line 1: `two words here` is neither one name nor" in str(heard.rejected[-1][0][0])
    assert blocked(store, "www.other.example")


def test_an_installed_catalogue_is_taken_up(file: Path, heard: Heard, tmp_path: Path) -> None:
    """Newer data on sites is in force with the next look at the files, and its loss brings back what ships."""
    from schoolgate_policy.catalogue_file import load_catalogue, read_texts, shipped
    from schoolgate_policy.catalogue_installed import installed_file
    from schoolgate_policy.catalogue_update import pack

    state = tmp_path / "state"
    store = PolicyStore(file, state, heard)
    assert not blocked(store, "facebook.example")
    newer = pack(
        (name, text.replace(load_catalogue().version, "2030-01-01")) for name, text in read_texts(shipped())
    )
    assert newer.count(b"facebook.com, facebook.de") == 1
    installed = installed_file(state)
    installed.parent.mkdir()
    installed.write_bytes(
        newer.replace(b"facebook.com, facebook.de", b"facebook.com, facebook.de, facebook.example")
    )
    assert store.reload(force=False)
    assert blocked(store, "www.facebook.example")
    installed.write_bytes(b"broken")
    assert store.reload(force=False)
    assert not blocked(store, "www.facebook.example")
    assert "the installed catalogue is not used" in str(heard.warnings[-1])
