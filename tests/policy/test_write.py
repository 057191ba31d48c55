"""Writing policy.yaml: nobody's change is lost, nothing broken is written, and every version is kept."""

import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from policies import HEAD, small_catalogue

from schoolgate_policy.document import add_exception, remove_exception
from schoolgate_policy.errors import EditError, PolicyConflict, PolicyError, PolicyUnwritable
from schoolgate_policy.grant import NewException
from schoolgate_policy.history import digest_of
from schoolgate_policy.load import load_policy
from schoolgate_policy.write import Author, Edit, Written, edit_policy, history_of

TEXT = (HEAD + "rules: []\nexceptions: []   # none\n").encode()
AUTHOR = Author("headteacher", "approved", datetime(2026, 11, 23, 10, tzinfo=UTC))
CATALOGUE = small_catalogue()
ROOT = os.geteuid() == 0


def adding(name: str) -> Edit:
    """Return an edit that adds an exception."""
    return lambda data: add_exception(data, NewException(name, ("youtube",), "2026-12-18", "a lesson"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a policy in a folder of its own."""
    path = tmp_path / "policy" / "policy.yaml"
    path.parent.mkdir()
    path.write_bytes(TEXT)
    return path


def _script(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own."""
    paths = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-c", text, *arguments]
    environ = {**os.environ, "PYTHONPATH": paths}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def edit(path: Path, change: Edit, **options: object) -> Written:
    """Edit with the small catalogue."""
    return edit_policy(path, change, **{"author": AUTHOR, "catalogue": CATALOGUE, **options})


def test_a_change_is_written_and_both_versions_are_kept(file: Path, tmp_path: Path) -> None:
    """The file has the change; history has what was there and what is there, with who and why."""
    state = tmp_path / "state"
    written = edit(file, adding("A"), state=state)
    assert written == Written(digest_of(TEXT), digest_of(file.read_bytes()))
    assert load_policy(file, CATALOGUE).exceptions[0].id == "A"
    history = history_of(state)
    after, before = history.versions()
    assert history.read(before) == TEXT
    assert (before.who, before.why) == ("an editor", "found in the file")
    assert history.read(after) == file.read_bytes()
    assert (after.who, after.why, after.at) == ("headteacher", "approved", AUTHOR.when)
    assert list(file.parent.iterdir()) == [file]


def test_a_change_made_by_hand_gets_into_history_before_it_is_written_over(
    file: Path, tmp_path: Path
) -> None:
    """What an officer saved between two approvals is kept too."""
    state = tmp_path / "state"
    edit(file, adding("A"), state=state)
    by_hand = file.read_bytes() + b"# by hand\n"
    file.write_bytes(by_hand)
    edit(file, adding("B"), state=state)
    history = history_of(state)
    assert [version.who for version in history.versions()] == [
        "headteacher",
        "an editor",
        "headteacher",
        "an editor",
    ]
    assert history.read(history.versions()[1]) == by_hand
    assert b"# by hand" in file.read_bytes()


def test_a_change_for_another_version_is_a_conflict(file: Path, tmp_path: Path) -> None:
    """Whoever looked at an old version is told, and nothing is written, kept or listed."""
    version = load_policy(file, CATALOGUE).version
    changed = TEXT + b"# by hand\n"
    file.write_bytes(changed)
    with pytest.raises(
        PolicyConflict, match=rf"policy\.yaml changed since version {version}; nothing was written"
    ):
        edit(file, adding("A"), expect=version, state=tmp_path / "state")
    assert file.read_bytes() == changed
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("digits", [12, 64])
def test_a_change_for_this_version_is_written(file: Path, digits: int) -> None:
    """Both `Policy.version` and the whole digest name a version."""
    edit(file, adding("A"), expect=digest_of(TEXT)[:digits])
    assert load_policy(file, CATALOGUE).exceptions[0].id == "A"


def test_too_short_a_version_matches_nothing(file: Path) -> None:
    """An empty or short expectation is no way round the comparison."""
    for expect in ("", digest_of(TEXT)[:4]):
        with pytest.raises(PolicyConflict):
            edit(file, adding("A"), expect=expect)


def test_a_save_during_the_edit_is_not_written_over(file: Path) -> None:
    """An editor that saves while a change is being made wins, and the change is made again on top."""
    calls = []

    def change(data: bytes) -> bytes:
        calls.append(data)
        if len(calls) == 1:
            file.write_bytes(data + b"# saved meanwhile\n")
        return adding("A")(data)

    edit(file, change)
    assert len(calls) == 2
    assert b"# saved meanwhile" in file.read_bytes()
    assert load_policy(file, CATALOGUE).exceptions[0].id == "A"


def test_a_save_during_an_edit_for_one_version_is_a_conflict(file: Path) -> None:
    """Where a version was named, the change is not made to another."""

    def change(data: bytes) -> bytes:
        file.write_bytes(data + b"# saved meanwhile\n")
        return adding("A")(data)

    with pytest.raises(PolicyConflict):
        edit(file, change, expect=digest_of(TEXT))
    assert file.read_bytes() == TEXT + b"# saved meanwhile\n"
    assert list(file.parent.iterdir()) == [file]


def test_what_is_no_usable_policy_is_not_written(file: Path, tmp_path: Path) -> None:
    """The result is checked as the policy it is to be; every reason is handed over."""
    with pytest.raises(PolicyError) as caught:
        edit(
            file,
            lambda data: data.replace(b"rules: []", b"rules: [{block: facebok, reason: x}]"),
            state=tmp_path / "s",
        )
    assert "unknown service `facebok`" in str(caught.value)
    assert file.read_bytes() == TEXT
    assert not (tmp_path / "s").exists()


def test_a_refused_edit_writes_nothing(file: Path) -> None:
    """The reason reaches whoever asked."""
    with pytest.raises(EditError):
        edit(file, lambda data: remove_exception(data, "A"))
    assert file.read_bytes() == TEXT


def test_no_change_is_no_version(file: Path, tmp_path: Path) -> None:
    """An edit without effect leaves file and history alone."""
    before = file.stat()
    written = edit(file, lambda data: data, state=tmp_path / "state")
    assert written.before == written.after
    assert file.stat().st_ino == before.st_ino
    assert not (tmp_path / "state").exists()


def test_mode_and_owner_stay(file: Path) -> None:
    """The new file can be read and written by whom the old one could."""
    file.chmod(0o640)
    if ROOT:
        os.chown(file, 1234, 2345)
    before = file.stat()
    edit(file, adding("A"))
    after = file.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert after.st_mtime_ns > before.st_mtime_ns


@pytest.mark.skipif(not ROOT, reason="only root can give the state folder to somebody else")
def test_what_root_keeps_belongs_to_the_owner_of_the_state(file: Path, tmp_path: Path) -> None:
    """After a change from root's command line the portal can still write its history."""
    state = tmp_path / "state"
    state.mkdir()
    os.chown(state, 1234, 2345)
    edit(file, adding("A"), state=state)
    for path in state.rglob("*"):
        assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345), path


def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    """The file that a link leads to is written, in its own folder."""
    link = tmp_path / "policy.yaml"
    link.symlink_to(file)
    edit(link, adding("A"))
    assert link.is_symlink()
    assert load_policy(file, CATALOGUE).exceptions[0].id == "A"


def test_links_that_lead_nowhere_are_one_clear_line(tmp_path: Path) -> None:
    """A missing file, a dangling link and a circle of links end the same way."""
    dangling, one, other = (tmp_path / name for name in ("dangling.yaml", "one.yaml", "other.yaml"))
    dangling.symlink_to(tmp_path / "gone")
    one.symlink_to(other)
    other.symlink_to(one)
    for path in (tmp_path / "missing.yaml", dangling, one):
        with pytest.raises(PolicyUnwritable, match=rf"{path.name}: cannot be read: "):
            edit(path, adding("A"))


_READ_ONLY = """
import os, sys, tempfile
from datetime import UTC, datetime
from pathlib import Path
from policies import HEAD, small_catalogue
from schoolgate_policy.errors import PolicyUnwritable
from schoolgate_policy.load import load_policy
from schoolgate_policy.write import Author, edit_policy

with tempfile.TemporaryDirectory() as name:
    file = Path(name) / "policy.yaml"
    file.write_text(HEAD)
    load_policy(file, small_catalogue())  # imports what an interpreter in a private folder could not later
    file.parent.chmod(0o555)
    if os.geteuid() == 0:
        os.setegid(65534)
        os.seteuid(65534)
    try:
        edit_policy(file, lambda data: data + b"rules: []\\n", author=Author("x", "y", datetime.now(UTC)),
                    catalogue=small_catalogue())
    except PolicyUnwritable as error:
        print(str(error).removeprefix(name), error.snippet, sep="|")
    assert file.read_text() == HEAD
    if os.getuid() == 0:
        os.seteuid(0)
    file.parent.chmod(0o755)
"""


def test_a_read_only_folder_ends_in_what_to_paste() -> None:
    """A process without the right to write there says so, and the file stays."""
    done = _script(_READ_ONLY)
    assert done.stderr == ""
    assert done.stdout.endswith(
        ": cannot be written (Permission denied); policy.yaml is as it was|rules: []\n"
    )


def test_a_folder_that_cannot_be_written_ends_in_what_to_paste(file: Path, tmp_path: Path) -> None:
    """The error names the folder and carries the lines; the file stays."""
    from schoolgate_policy import write

    def refuse(path: Path, replacement: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write.tempfile, "mkstemp", lambda **_: refuse(file.parent, file))
        with pytest.raises(PolicyUnwritable) as caught:
            edit(file, adding("A"))
    assert (
        str(caught.value) == f"{file.parent}: cannot be written (Permission denied); policy.yaml is as it was"
    )
    assert caught.value.snippet.splitlines()[:3] == [
        "exceptions:   # none",
        "  - id: A",
        "    allow: [youtube]",
    ]
    assert file.read_bytes() == TEXT


def test_a_full_disk_leaves_the_old_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be brought to the disk whole is not put in place, and nothing is left lying about."""
    from schoolgate_policy import write

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write.os, "fsync", full)
    with pytest.raises(PolicyUnwritable, match="No space left on device"):
        edit(file, adding("A"))
    assert file.read_bytes() == TEXT
    assert list(file.parent.iterdir()) == [file]


def test_a_history_that_cannot_be_kept_stops_the_change(file: Path, tmp_path: Path) -> None:
    """No version goes unrecorded."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "history").write_text("a file, where a folder should be")
    with pytest.raises(PolicyUnwritable, match="is as it was"):
        edit(file, adding("A"), state=state)
    assert file.read_bytes() == TEXT


def test_a_writer_that_hangs_does_not_hang_the_next(file: Path) -> None:
    """After some patience the second writer is told so."""
    inside, done = threading.Event(), threading.Event()

    def slow(data: bytes) -> bytes:
        inside.set()
        done.wait(30)
        return data

    thread = threading.Thread(target=edit, args=(file, slow))
    thread.start()
    try:
        inside.wait(30)
        with pytest.raises(PolicyConflict, match="another program is writing"):
            edit(file, adding("A"), patience=0.1)
    finally:
        done.set()
        thread.join()


_TWENTY = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from policies import small_catalogue
from schoolgate_policy.document import add_exception
from schoolgate_policy.errors import PolicyConflict
from schoolgate_policy.grant import NewException
from schoolgate_policy.history import digest_of
from schoolgate_policy.write import Author, edit_policy

path, state, catalogue = Path(sys.argv[1]), Path(sys.argv[2]), small_catalogue()

def write(number):
    author = Author(f"writer {number}", "test", datetime.now(UTC))
    new = NewException(f"W{number}", ("youtube",), "2026-12-18", "a lesson")
    while True:
        expect = digest_of(path.read_bytes()) if number % 2 else None
        try:
            edit_policy(path, lambda data: add_exception(data, new), author=author, expect=expect, state=state,
                        catalogue=catalogue, patience=100)
            return
        except PolicyConflict:
            assert expect

go, start = os.pipe()
children = []
for number in range(20):
    child = os.fork()
    if not child:
        code = 1
        try:
            os.close(start)
            os.read(go, 1)
            write(number)
            code = 0
        finally:
            os._exit(code)
    children.append(child)
os.close(start)
sys.exit(sum(os.waitpid(child, 0)[1] for child in children) != 0)
"""


def test_twenty_writers_lose_nobody_s_change(file: Path, tmp_path: Path) -> None:
    """Twenty processes at once, half of them comparing versions: every exception is there, every version is kept."""
    state = tmp_path / "state"
    done = _script(_TWENTY, str(file), str(state))
    assert done.returncode == 0, done.stderr
    policy = load_policy(file, CATALOGUE)
    assert sorted(exception.id for exception in policy.exceptions) == sorted(
        f"W{number}" for number in range(20)
    )
    history = history_of(state)
    versions = history.versions()
    assert len(versions) == 21
    assert sorted(version.who for version in versions[:-1]) == sorted(
        f"writer {number}" for number in range(20)
    )
    assert history.read(versions[-1]) == TEXT
    data = file.read_bytes()
    for number in range(20):
        data = remove_exception(data, f"W{number}")
    assert data == TEXT
