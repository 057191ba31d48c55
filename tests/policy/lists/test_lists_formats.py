"""Lists as they are published are read; what does not belong into them is counted or refused."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest
from listfiles import read

from schoolgate_policy.lists.spec import ListContent, ListRefused

HOSTS = """\
# Title: a hosts list
127.0.0.1 localhost
127.0.0.1 localhost.localdomain
255.255.255.255 broadcasthost
::1 ip6-localhost
0.0.0.0 0.0.0.0

0.0.0.0 ads.example # with a comment
0.0.0.0 one.example two.example
0.0.0.0 BÜCHER.example
"""
ADBLOCK = """\
[Adblock Plus 2.0]
! Title: some list
! Homepage: https://lists.example
||ads.example^
||Tracker.example^$third-party
||all.example^$important
||path.example/banner^
||wild*.example^
||open.example
@@||good.example^
example.org##.banner
example.org#@#.banner
/banner[0-9]+/
"""
DNSMASQ = """\
# dnsmasq
address=/ads.example/0.0.0.0
address=/null.example/#
address=/one.example/two.example/::
server=/sink.example/
server=/corp.example/10.0.0.1
server=/good.example/#
local=/local.example/
cache-size=1000
"""
RPZ = """\
$TTL 300
$ORIGIN rpz.example.
@ SOA localhost. root.localhost. (
      2026112100 ; serial
      3600 600 86400 300 )
  NS localhost.
ads.example CNAME .
*.ads.example CNAME .
nodata.example 60 IN CNAME *.
sink.example A 192.0.2.1
absolute.example.rpz.example. CNAME .
good.example CNAME rpz-passthru.
32.1.2.0.192.rpz-ip CNAME .
"""
CASES = {
    "hosts": (HOSTS, {"ads.example", "one.example", "two.example", "xn--bcher-kva.example"}, 0, 0),
    "domains": ("ads.example\r\n*.wild.example\r\n.dot.example\r\n# no\r\nUPPER.example.\r\n192.0.2.7\r\n",
                {"ads.example", "wild.example", "dot.example", "upper.example", "192.0.2.7"}, 0, 0),
    "adblock": (ADBLOCK, {"ads.example", "all.example"}, 1, 7),
    "dnsmasq": (DNSMASQ, {"ads.example", "null.example", "one.example", "two.example", "sink.example", "local.example"}, 1, 2),
    "rpz": (RPZ, {"ads.example", "nodata.example", "sink.example", "absolute.example"}, 1, 1),
}  # fmt: skip


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("said", [True, False], ids=["named", "detected"])
def test_each_format_is_read(tmp_path: Path, kind: str, said: bool) -> None:
    """The names are found, exceptions and narrower rules are counted, whether the format is named or detected."""
    text, names, exceptions, unused = CASES[kind]
    content = read(tmp_path, text.encode(), format=kind if said else None)
    counts = content.status.counts
    assert counts is not None
    assert counts.format == kind
    assert (counts.names, counts.exceptions, counts.unused, counts.unreadable) == (
        len(names),
        exceptions,
        unused,
        0,
    )
    assert all(content.hosts.covers(name) and content.hosts.covers(f"www.{name}") for name in names)
    for name in (
        "good.example",
        "tracker.example",
        "wild.example.org",
        "localhost",
        "corp.example",
        "example",
        "open.example",
    ):
        assert not content.hosts.covers(name), name


def ut1(folder: Path) -> None:
    """Write a folder as the Toulouse lists have them."""
    for name, domains, urls in (
        ("adult", "adult.example\n", "site.example/adult/\n"),
        ("games", "play.example\n", ""),
    ):
        (folder / name).mkdir(parents=True)
        (folder / name / "domains").write_text(domains)
        (folder / name / "urls").write_text(urls)
        (folder / name / "usage").write_text("black")


def _holds_ut1(content: ListContent) -> None:
    assert content.status.counts is not None
    assert (content.status.counts.format, content.status.counts.names, content.status.counts.unused) == (
        "ut1",
        2,
        1,
    )
    assert content.hosts.covers("www.adult.example")
    assert content.hosts.covers("play.example")
    assert not content.hosts.covers("site.example")


def test_a_ut1_folder_is_read(tmp_path: Path) -> None:
    """Every file named `domains` or `urls` counts, others do not; a loop of symbolic links is not walked."""
    ut1(tmp_path / "ut1")
    (tmp_path / "ut1" / "loop").symlink_to(tmp_path / "ut1")
    _holds_ut1(read(tmp_path, None, file="ut1"))


@pytest.mark.parametrize("packed", ["w", "w:gz"])
def test_a_ut1_archive_is_read(tmp_path: Path, packed: str) -> None:
    """The same from a tar, packed or not."""
    ut1(tmp_path / "ut1")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=packed) as archive:  # type: ignore[call-overload]
        archive.add(tmp_path / "ut1", "blacklists")
        link = tarfile.TarInfo("blacklists/ads")
        link.type, link.linkname = tarfile.SYMTYPE, "../../../etc"
        archive.addfile(link)
    _holds_ut1(read(tmp_path, buffer.getvalue(), file="ut1.tar.gz"))


def test_a_folder_of_lists_and_a_packed_list_are_read(tmp_path: Path) -> None:
    """A folder is the sum of its files, each in its own format; gzip is unpacked."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.txt").write_text("a.example\n")
    (tmp_path / "own" / "b.gz").write_bytes(gzip.compress(b"||b.example^\n"))
    content = read(tmp_path, None, file="own")
    assert content.hosts.covers("a.example")
    assert content.hosts.covers("b.example")


def test_public_suffixes_are_left_out(tmp_path: Path) -> None:
    """One slip such as `co.uk` in a list of strangers must not close half the web."""
    content = read(tmp_path, b"co.uk\ncom\nbad.co.uk\nonion\n")
    assert not content.hosts.covers("bbc.co.uk")
    assert not content.hosts.covers("example.com")
    assert content.hosts.covers("www.bad.co.uk")
    assert content.hosts.covers("some.onion")
    assert content.status.counts is not None
    assert content.status.counts.too_wide == 2
    assert "2 entries are left out" in content.warnings[0]


def test_a_few_unreadable_lines_are_reported_and_many_refuse_the_list(tmp_path: Path) -> None:
    """One bad line in a hundred is told with its number; more, and it is no list."""
    lines = [f"host{n}.example" for n in range(200)]
    lines[7] = "what is this"
    content = read(tmp_path, "\n".join(lines).encode())
    assert content.warnings == ("1 line cannot be read; the first is line 8",)
    lines[8:12] = ["or this one"] * 4
    with pytest.raises(
        ListRefused, match="line 8: `what is this` is neither one name nor an address and names"
    ):
        read(tmp_path, "\n".join(lines).encode())


def _gzip_bomb() -> bytes:
    return gzip.compress(b"a.example\n" * 8_000_000, 9)


def _tar_with(change: dict[str, object]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo("adult/domains")
        for key, value in change.items():
            setattr(info, key, value)
        archive.addfile(info, io.BytesIO(b"x"[: info.size]))
    return buffer.getvalue()


REFUSED = {
    "binary": (lambda: bytes(range(256)) * 40, "it is no text"),
    "bomb": (_gzip_bomb, "it unpacks to more than 100 times its size"),
    "cut off": (lambda: gzip.compress(b"a.example\n" * 1000)[:-20], "it is a broken or cut-off gzip file"),
    "one long line": (lambda: b"a" * 200_000, "longer than 64 KiB"),
    "prose": (lambda: b"this is a letter\nto the school\n", "line 1: `this is a letter` is neither"),
    "html": (lambda: b"<!doctype html>\n<html><body>Not found</body></html>\n", "line 1: "),
    "only cosmetic": (lambda: b"example.org##.ad\n@@||b.example^\n", "no line of it names a host to block"),
    "leads out": (lambda: _tar_with({"name": "../../etc/domains"}), "a path that leads out of it"),
    "absolute": (lambda: _tar_with({"name": "/etc/domains"}), "a path that leads out of it"),
    "device": (lambda: _tar_with({"type": tarfile.CHRTYPE}), "a device or a pipe"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_list_is_refused(tmp_path: Path, case: str) -> None:
    """Each in one line that says why, within bounds of time and memory."""
    make, message = REFUSED[case]
    with pytest.raises(ListRefused, match=message):
        read(tmp_path, make(), file="list.tar.gz")


def test_a_list_of_two_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    """Its size alone is enough."""
    with (tmp_path / "huge.txt").open("wb") as file:
        file.truncate(2 << 30)
    with pytest.raises(ListRefused, match="it has 2048 MiB, more than 512"):
        read(tmp_path, None, file="huge.txt")


def test_a_million_duplicates_are_one_name(tmp_path: Path) -> None:
    """They cost time once and no memory afterwards."""
    content = read(tmp_path, b"again.example\n" * 1_000_000)
    assert content.status.names == 1
    assert content.hosts.covers("again.example")


def test_a_list_stands_below_the_policy(tmp_path: Path) -> None:
    """Neither a path nor a link leads out of the policy's folder, and a circle of links is told."""
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "secret").write_text("root:x\n")
    (home / "link").symlink_to(tmp_path / "secret")
    (home / "round").symlink_to(home / "round")
    for name in ("../secret", str(tmp_path / "secret"), "link", "."):
        with pytest.raises(ListRefused, match="it lies outside the folder of the policy"):
            read(home, None, file=name)
    with pytest.raises((ListRefused, OSError)):
        read(home, None, file="round")
