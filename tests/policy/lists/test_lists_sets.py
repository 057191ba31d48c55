"""Compiled sets answer as plain sets do, from memory that all processes share."""

import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from listfiles import read

from schoolgate_policy.lists.compiled import Corrupt, open_compiled, write
from schoolgate_policy.lists.hostset import HashedSet, NameSet
from schoolgate_policy.lists.spec import Counts
from schoolgate_policy.lists.table import Gatherer, TooManyMembers

LABELS = st.text(string.ascii_lowercase[:4], min_size=1, max_size=2)
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)


@settings(max_examples=60, deadline=None)
@given(names=st.lists(HOSTS, max_size=30), asked=st.lists(HOSTS, min_size=1, max_size=30))
def test_a_compiled_set_is_a_set(
    names: list[str], asked: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A host is covered by the compiled file exactly when it, or a name above it, is in the set."""
    gatherer = Gatherer(1000)
    gatherer.add(name.encode() for name in names)
    table, _ = gatherer.table()
    file = tmp_path_factory.mktemp("compiled") / "list.sgl"
    empty, _ = Gatherer(1).table()
    write(file, table, empty, Counts("domains", single_labels=True), "digest")
    compiled, plain = open_compiled(file), NameSet(names)
    assert len(compiled.hosts) == len(plain) == len(set(names))
    for host in asked + names:
        assert compiled.hosts.covers(host) == plain.covers(host)
    dotted = HashedSet(table, single_labels=False)
    for host in asked:
        assert dotted.covers(host) == NameSet(name for name in names if "." in name).covers(host)


def test_too_many_members_are_refused() -> None:
    """A set has a limit, whatever it is given."""
    with pytest.raises(TooManyMembers):
        Gatherer(3).add([b"a", b"b", b"c", b"d"])


def test_a_large_list_is_the_same_as_a_small_one(tmp_path: Path) -> None:
    """Lists that another process compiles hold every name of the file, with odd lines in between."""
    names = [f"host{n}.example{n % 7}.org" for n in range(60_000)]
    lines = [f"0.0.0.0 {name}" for name in names]
    lines[30_000:30_000] = ["# a comment", "0.0.0.0 ODD.example two.example", "0.0.0.0 localhost", ""]
    content = read(tmp_path, "\n".join(lines).encode())
    assert isinstance(content.hosts, HashedSet)
    assert content.status.names == 60_002
    assert all(content.hosts.covers(f"www.{name}") for name in names)
    assert content.hosts.covers("odd.example")
    assert content.hosts.covers("two.example")
    assert not any(content.hosts.covers(f"not{name}") for name in names)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "header", "other"])
def test_a_damaged_file_is_told_and_made_again(tmp_path: Path, damage: str) -> None:
    """A compiled file is never trusted: one wrong bit, and the list is compiled anew from its source."""
    state = tmp_path / "state"
    read(tmp_path, b"a.example\nb.example\n", state=state)
    [file] = (state / "lists" / "compiled").glob("*.sgl")
    data = file.read_bytes()
    flipped = bytearray(data)
    flipped[-3] ^= 1
    broken = {
        "cut": data[:-8],
        "flipped": bytes(flipped),
        "empty": b"",
        "header": b"SG",
        "other": b"\0" * 4096,
    }
    file.write_bytes(broken[damage])
    with pytest.raises(Corrupt):
        open_compiled(file)
    content = read(tmp_path, None, state=state)
    assert content.hosts.covers("a.example")
    assert file.read_bytes() == data


def test_a_compiled_file_holds_no_name(tmp_path: Path) -> None:
    """What is kept of a list in the state folder does not spell out its entries."""
    state = tmp_path / "state"
    read(tmp_path, b"terrible.example\nhttps://page.example/awful\n", state=state, locked=True)
    kept = [file for file in state.rglob("*") if file.is_file()]
    assert kept
    for file in kept:
        data = file.read_bytes()
        assert b"terrible" not in data
        assert b"page.example" not in data
        assert b"awful" not in data


def test_a_second_process_uses_what_the_first_compiled(tmp_path: Path) -> None:
    """The second reader maps the same file instead of compiling again."""
    state = tmp_path / "state"
    read(tmp_path, b"a.example\n", state=state)
    [file] = (state / "lists" / "compiled").glob("*.sgl")
    before = file.stat().st_ino, file.stat().st_mtime_ns
    content = read(tmp_path, None, state=state)
    assert isinstance(content.hosts, HashedSet)
    assert content.hosts.covers("www.a.example")
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == before
