"""A good copy of a list is never given up for a bad one, and a bad one never goes unnoticed."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from policies import HEAD

from schoolgate_policy.decision import Attempt
from schoolgate_policy.errors import PolicyError, PolicyIssue
from schoolgate_policy.lists.library import ListLibrary
from schoolgate_policy.lists.shelf import Shelf
from schoolgate_policy.lists.spec import ListSpec, Standing
from schoolgate_policy.model import Policy
from schoolgate_policy.store import PolicyStore

RULES = "lists: {games: {file: games.txt}}\nrules: [{block: 'list:games', reason: no}]\n"


class Heard:
    """Remembers what a store tells."""

    def __init__(self) -> None:
        self.loaded: list[Policy] = []
        self.rejected: list[str] = []

    def policy_loaded(self, policy: Policy, issues: tuple[PolicyIssue, ...]) -> None:
        self.loaded.append(policy)

    def policy_rejected(self, issues: tuple[PolicyIssue, ...], *, kept: str | None) -> None:
        self.rejected += [str(issue) for issue in issues]


class School:
    """A policy with a list, on disk and in force."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "policy" / "policy.yaml"
        self.state = folder / "state"
        self.names = self.file.with_name("games.txt")
        self.file.parent.mkdir()
        self.names.write_text("".join(f"game{n}.example\n" for n in range(40)))
        self.file.write_text(HEAD + RULES)
        self.heard = Heard()
        self.store = self.start()

    def start(self) -> PolicyStore:
        return PolicyStore(self.file, self.state, self.heard)

    def blocked(self, host: str) -> bool:
        at = datetime(2026, 11, 23, 10, tzinfo=UTC)
        return self.store.engine.decide(Attempt("10.20.0.5", host, at)).blocked

    @property
    def standing(self) -> Standing:
        return self.store.engine.policy.list_status[0].standing


@pytest.fixture
def school(tmp_path: Path) -> School:
    """Return a school whose list has forty names."""
    return School(tmp_path)


BAD = {
    "shrunk": ("game1.example\n" * 3, "it shrank from 40 entries to 1"),
    "emptied": ("", "it shrank from 40 entries to 0"),
    "half": ("".join(f"game{n}.example\n" for n in range(20)), "it shrank from 40 entries to 20"),
    "broken": ("<html>Bad gateway</html>\n", "line 1: "),
    "gone": (None, "cannot be read: No such file or directory"),
}


@pytest.mark.parametrize("how", BAD)
@pytest.mark.parametrize("restarted", [False, True])
def test_a_bad_list_is_refused_loudly_and_the_old_copy_stays(
    school: School, how: str, restarted: bool
) -> None:
    """The refusal is told with its reason; names of the old copy stay blocked, also after a restart."""
    text, why = BAD[how]
    if text is None:
        school.names.unlink()
    else:
        school.names.write_text(text)
    if restarted:
        school.store = school.start()
    else:
        assert not school.store.reload(force=False)
    assert why in school.heard.rejected[-1]
    assert "policy.yaml:18:23: warning: lists.games.file: refused: " in school.heard.rejected[-1]
    assert school.blocked("www.game39.example")
    assert school.standing is Standing.KEPT


def test_a_bad_list_does_not_hold_up_the_rest(school: School) -> None:
    """A rule that is agreed while a list is broken comes into force."""
    school.names.write_text("no list at all\n")
    school.file.write_text(HEAD + RULES.replace("'list:games'", "['list:games', other.example]"))
    assert not school.store.reload()
    assert school.blocked("other.example")
    assert school.blocked("game3.example")


def test_a_shrunk_list_can_be_accepted(school: School) -> None:
    """Once accepted by name it is used, this copy only; the next great loss is refused again."""
    school.names.write_text("game1.example\n" * 3)
    assert not school.store.reload(force=False)
    spec = ListSpec("games", file="games.txt")
    Shelf(school.state).accept(spec, ListLibrary(school.file.parent, school.state, keeps=False).digest(spec))
    assert school.store.reload(force=False)
    assert school.standing is Standing.IN_USE
    assert not school.blocked("game39.example")
    school.names.write_text("".join(f"game{n}.example\n" for n in range(40)))
    assert school.store.reload(force=False)
    school.names.write_text("game2.example\n")
    assert not school.store.reload(force=False)


def test_a_list_that_grows_or_loses_a_little_is_taken(school: School) -> None:
    """Ordinary changes need nobody."""
    school.names.write_text("".join(f"game{n}.example\n" for n in range(21)))
    assert school.store.reload(force=False)
    assert not school.blocked("game30.example")
    assert school.blocked("game20.example")


def test_another_source_is_another_list(school: School) -> None:
    """A list that is pointed at another file may be smaller, and never falls back to the earlier file's names."""
    school.names.with_name("few.txt").write_text("few.example\n")
    school.file.write_text(HEAD + RULES.replace("games.txt", "few.txt"))
    assert school.store.reload()
    school.file.write_text(HEAD + RULES.replace("games.txt", "missing.txt"))
    assert not school.store.reload()
    assert "`missing.txt` cannot be read: No such file or directory" in school.heard.rejected[-1]
    assert school.blocked("few.example")


def test_without_any_good_copy_a_bad_list_refuses_the_policy(tmp_path: Path) -> None:
    """A first start with a list that cannot be read is refused: the school would be unfiltered without knowing."""
    folder = tmp_path / "policy"
    folder.mkdir()
    (folder / "policy.yaml").write_text(HEAD + RULES)
    with pytest.raises(PolicyError, match="cannot be read"):
        PolicyStore(folder / "policy.yaml", tmp_path / "state", Heard())


def test_a_locked_list_that_vanishes_stays_locked(school: School) -> None:
    """Deleting or emptying the file of a locked list opens nothing, small as the list may be."""
    school.names.with_name("iwf.txt").write_text("terrible.example\n")
    school.file.write_text(HEAD + "locked: {iwf: {file: iwf.txt}}\n")
    assert school.store.reload()
    for change in (
        lambda: school.names.with_name("iwf.txt").write_text(""),
        school.names.with_name("iwf.txt").unlink,
    ):
        change()
        assert not school.store.reload()
        assert school.blocked("terrible.example")
        assert "terrible" not in " ".join(school.heard.rejected)


def test_twenty_readers_at_once_agree(tmp_path: Path) -> None:
    """Processes that start together compile a list once and all get the same answers."""
    (tmp_path / "list.txt").write_text("".join(f"host{n}.example.org\n" for n in range(20_000)))
    contents = []

    def work() -> None:
        contents.append(ListLibrary(tmp_path, tmp_path / "state").read(ListSpec("test", file="list.txt")))

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(contents) == 20
    assert all(content.hosts.covers("a.host19999.example.org") for content in contents)
    assert len(list((tmp_path / "state" / "lists" / "compiled").glob("*.sgl"))) == 1


def test_a_disk_that_takes_nothing_costs_the_copy_and_not_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list is used all the same, and the warning says what was lost."""
    from schoolgate_policy.lists import compiler, shelf

    write = compiler.write

    def full(path: Path, *rest: object) -> None:
        if "state" in path.parts:
            raise OSError(28, "No space left on device")
        write(path, *rest)  # type: ignore[arg-type]

    def also_full(path: Path, value: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compiler, "write", full)
    monkeypatch.setattr(shelf, "write_json", also_full)
    (tmp_path / "list.txt").write_text("a.example\n")
    content = ListLibrary(tmp_path, tmp_path / "state").read(ListSpec("test", file="list.txt"))
    assert content.hosts.covers("a.example")
    assert content.warnings == ("no copy kept: No space left on device",)


def test_a_great_list_is_compiled_while_the_old_policy_serves(school: School) -> None:
    """While half a million names are read, verdicts come on; then the new list is in force."""
    school.names.write_text("".join(f"game{n}.example\n" for n in range(500_000)))
    done = threading.Event()

    def reload() -> None:
        school.store.reload(force=False)
        done.set()

    worker = threading.Thread(target=reload)
    worker.start()
    verdicts = 0
    while not done.is_set():
        assert school.blocked("game39.example")
        verdicts += 1
    worker.join()
    assert verdicts > 100
    assert school.blocked("www.game499999.example")
