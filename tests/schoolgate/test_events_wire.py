"""Events on their way: whole, small enough, and never in anybody's way."""

import socket
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schoolgate.events.receiver import EventReceiver
from schoolgate.events.sender import SOCKET, EventSender
from schoolgate.events.wire import LONGEST, BadDatagram, decode, encode
from schoolgate.metrics import Metrics
from schoolgate.record import MetricsRecorder
from schoolgate_policy.decision import Attempt, Decision, Point, Reason, Verdict
from schoolgate_policy.event import Bell, Event, Fault, Sighting, Visit

AT = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)
BLOCK = Decision(
    Verdict.BLOCK, Reason.RULE, "no", AT, None, "www.instagram.com", "pupils",
    source="policy.yaml:1", service="instagram", category="social-network",
)  # fmt: skip
ALLOW = Decision(Verdict.ALLOW, Reason.OTHERWISE, "", AT, None, "news.example", "pupils")
LOCKED = Decision(Verdict.BLOCK, Reason.LOCKED, "no", AT, None, "illegal.example", "pupils")
EVENTS: list[Event] = [
    Visit(1.5, "dns", "pupils", "10.20.0.5", "x.com", "block", "rule", "policy.yaml:3", "twitter", "social-network", 3),
    Sighting(2.0, "proxy", "", "fd00:20::5", "bücher.example", "doh"),
    Bell(3.0, "dns", "policy", "abc"),
    Fault(4.0, "dns", "upstream", "OSError"),
]  # fmt: skip


class Sink:
    """Keeps what arrives."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.lost = self.received_ = 0
        self.faults: list[Exception] = []

    def take(self, events: list[Event]) -> None:
        self.events += events

    def flush(self) -> int:
        return 0

    def received(self, events: int) -> None:
        self.received_ += events

    def dropped(self, events: int) -> None:
        self.lost += events

    def stored(self, rows: int) -> None:
        pass

    def fault(self, error: Exception) -> None:
        self.faults.append(error)

    def wait(self, count: int) -> list[Event]:
        """Wait until so many events have arrived."""
        deadline = time.monotonic() + 20
        while len(self.events) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.events


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    sink = Sink()
    receiver = EventReceiver(tmp_path / SOCKET, sink, sink)
    receiver.start()
    yield sink
    receiver.stop()


def sent(path: Path, *calls: object, everything: bool = False) -> int:
    """Have a recorder take note of some things; return how many were lost."""
    lost: list[int] = []
    sender = EventSender(path / SOCKET, "dns", everything=lambda: everything, lost=lost.append)
    recorder = MetricsRecorder(Metrics("test"), sender)
    sender.start()
    for call in calls:
        call(recorder)
    sender.stop()
    return sum(lost)


def test_what_is_sent_is_what_arrives() -> None:
    """Every kind of event survives the way, several in one datagram."""
    (datagram,) = encode(EVENTS)
    assert decode(datagram) == EVENTS


def test_datagrams_stay_small() -> None:
    """However long the names, no datagram is longer than the kernel takes, and no event is lost."""
    events = [EVENTS[0]._replace(host=f"{n}" + "x" * 900) for n in range(1_000)]
    datagrams = list(encode(events))
    assert all(len(one) <= LONGEST for one in datagrams)
    assert [event for one in datagrams for event in decode(one)] == events
    assert list(encode([EVENTS[0]._replace(host="x" * LONGEST)])) == []


def test_events_are_made_as_they_are_sent() -> None:
    """A rush of events is never there at once: what makes them has the time of a datagram, not of all."""
    made: list[int] = []

    def one(number: int) -> Event:
        made.append(number)
        return EVENTS[0]

    datagrams = encode(one(number) for number in range(10_000))
    first = len(decode(next(datagrams)))
    assert first == len(made) < 100
    assert first + sum(len(decode(one)) for one in datagrams) == 10_000


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff", b"{}", b"[1,[]]", b'[1,["v"]]', b'[1,["z",1.0]]', b'[2,["b",1.0,"dns","policy","x"]]',
        b'[1,["b","1","dns","policy","x"]]', b'[1,["s",1.0,"dns","","","",7,1]]', b'[1,["s",1.0,"dns","","","","x",0]]',
        b"[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_event_is_refused(data: bytes) -> None:
    """A datagram of another version or with a wrong field is refused whole."""
    with pytest.raises(BadDatagram):
        decode(data)


def test_blocks_have_a_row_and_the_rest_is_counted(tmp_path: Path, sink: Sink) -> None:
    """A block goes with its device; allowed visits leave the process as a count, without address and host."""
    attempt = Attempt("10.20.0.5", "www.instagram.com", AT, None, Point.DNS)
    lost = sent(
        tmp_path,
        lambda to: to.decision(attempt, BLOCK),
        lambda to: to.decision(attempt, ALLOW),
        lambda to: to.repeated(Point.DNS, [("10.20.0.5", ALLOW, 7), ("10.20.0.6", ALLOW, 2), ("10.20.0.6", BLOCK, 4)]),
        lambda to: to.technique("doh", "pupils", "10.20.0.5", "dns.google"),
        lambda to: to.fault("upstream", OSError("10.20.0.5 and instagram")),
    )  # fmt: skip
    events = sink.wait(5)
    visits = [one for one in events if isinstance(one, Visit)]
    blocked = [(one.address, one.host, one.times) for one in visits if one.verdict == "block"]
    assert blocked == [("10.20.0.5", "www.instagram.com", 1), ("10.20.0.6", "www.instagram.com", 4)]
    assert [(one.address, one.host, one.times) for one in visits if one.verdict == "allow"] == [("", "", 10)]
    assert any(isinstance(one, Sighting) and one.technique == "doh" for one in events)
    assert any(isinstance(one, Fault) and one.error == "OSError" for one in events)
    assert (lost, sink.lost, sink.faults) == (0, 0, [])


def test_everything_is_sent_where_the_policy_says_so(tmp_path: Path, sink: Sink) -> None:
    """With `record: everything` allowed visits go with their device too."""
    sent(tmp_path, lambda to: to.repeated(Point.DNS, [("10.20.0.5", ALLOW, 7)]), everything=True)
    (one,) = sink.wait(1)
    assert isinstance(one, Visit)
    assert (one.address, one.host, one.times) == ("10.20.0.5", "news.example", 7)


def test_a_locked_host_is_never_sent(tmp_path: Path, sink: Sink) -> None:
    """What stands on a locked list is shown nowhere, so it does not leave the process."""
    attempt = Attempt("10.20.0.5", "illegal.example", AT, None, Point.DNS)
    sent(tmp_path, lambda to: to.decision(attempt, LOCKED), everything=True)
    (one,) = sink.wait(1)
    assert isinstance(one, Visit)
    assert (one.host, one.reason) == ("", "locked")


def test_without_a_portal_events_are_dropped_and_counted(tmp_path: Path) -> None:
    """No socket, no delay and no error: what cannot be sent is counted."""
    assert sent(tmp_path, lambda to: to.technique("doh", "pupils", "10.20.0.5", "dns.google")) == 1


def test_a_portal_that_does_not_read_holds_nobody_up(tmp_path: Path) -> None:
    """With a full socket a call returns at once; what does not fit is lost, and told of."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / SOCKET))
        lost: list[int] = []
        sender = EventSender(tmp_path / SOCKET, "dns", lost=lost.append)
        sender.start()
        for _ in range(30_000):
            sender.technique("doh", "pupils", "10.20.0.5", "dns.google")
        sender.stop()
    assert sum(lost) > 0


def test_the_socket_is_for_the_owner_and_the_group(tmp_path: Path, sink: Sink) -> None:
    """The socket has mode 0660; one that was left behind is taken over."""
    mode = (tmp_path / SOCKET).stat().st_mode
    assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o660)
    other = EventReceiver(tmp_path / SOCKET, sink, sink)
    other.start()
    sent(tmp_path, lambda to: to.technique("doh", "pupils", "10.20.0.5", "dns.google"))
    assert len(sink.wait(1)) == 1
    other.stop()


def test_a_long_path_is_no_hindrance(tmp_path: Path) -> None:
    """A state folder deeper than a socket's address may be long works all the same."""
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    sink = Sink()
    receiver = EventReceiver(folder / SOCKET, sink, sink)
    receiver.start()
    sent(folder, lambda to: to.technique("doh", "pupils", "10.20.0.5", "dns.google"))
    assert len(sink.wait(1)) == 1
    receiver.stop()


def test_noise_on_the_socket_is_told_of_and_survived(tmp_path: Path, sink: Sink) -> None:
    """A datagram that is none of ours is a fault; the next one is read as ever."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"noise", str(tmp_path / SOCKET))
        sock.sendto(next(encode(EVENTS)), str(tmp_path / SOCKET))
    assert sink.wait(4) == EVENTS
    assert [type(one) for one in sink.faults] == [BadDatagram]


def test_what_has_arrived_at_the_end_is_kept(tmp_path: Path) -> None:
    """A receiver that is stopped takes what the kernel still holds for it."""
    sink = Sink()
    receiver = EventReceiver(tmp_path / SOCKET, sink, sink)
    receiver.start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        for _ in range(5):
            sock.sendto(next(encode(EVENTS)), str(tmp_path / SOCKET))
    receiver.stop()
    assert len(sink.events) == 5 * len(EVENTS)
