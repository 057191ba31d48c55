"""No bytes from a stranger raise anything but the proper error. `make fuzz` does the same, guided by coverage."""

import struct

import pytest
from dns_targets import QUERY, TARGETS, client_message, service_record, upstream_message
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = st.sampled_from(
    [b"\xc0\x0c", b"\0", b"\1a\xc0\x0c", b"\3a.b\0", b"\xc0\x1d", b"\xff\xff", b"\x3f" + b"x" * 63 + b"\xc0\x0c", b"\1\xff\0"]
)  # fmt: skip
RDATA = st.one_of(
    st.binary(max_size=40),
    NAMES,
    st.sampled_from([b"\x0a\0\0\1", b"\xc6\x33\x64\7", bytes(16), b"\0\1\0", b"\0\0\3abc\0"]),
    st.builds(lambda one, two: one + two + bytes(20), NAMES, NAMES),
)
TYPES = st.sampled_from([1, 2, 5, 6, 15, 16, 28, 33, 35, 39, 41, 43, 46, 47, 50, 64, 65, 99, 255, 257, 65280])


@st.composite
def records(draw) -> bytes:
    """Build something like the records of a message; lengths and counts are sometimes lies."""
    parts = []
    for _ in range(draw(st.integers(0, 6))):
        rdata = draw(RDATA)
        size = len(rdata) if draw(st.integers(0, 9)) else draw(st.integers(0, 65_535))
        fixed = struct.pack(
            "!HHIH",
            draw(TYPES),
            draw(st.sampled_from([1, 1, 1, 3, 1232])),
            draw(st.integers(0, 2**32 - 1)),
            size,
        )
        parts.append(draw(NAMES) + fixed + rdata)
    counts = [0, 0, 0]
    for _ in parts:
        counts[draw(st.integers(0, 2))] += 1
    if not draw(st.integers(0, 9)):
        counts[draw(st.integers(0, 2))] = draw(st.integers(0, 65_535))
    return struct.pack("!HHH", *counts) + b"".join(parts)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__)
@settings(max_examples=1_000, deadline=None)
@given(data=st.binary(max_size=400))
def test_noise(target, data):
    """Random bytes."""
    target(data)


@settings(max_examples=3_000, deadline=None)
@given(data=records())
def test_answers_that_nearly_make_sense(data):
    """Records of every kind, well and badly formed, as an upstream's answer and as part of a client's query."""
    upstream_message(data)
    client_message(QUERY[:6] + data[:6] + QUERY[12:-11] + data[6:])


@settings(max_examples=2_000, deadline=None)
@given(
    priority=st.integers(0, 3),
    target=NAMES,
    params=st.lists(st.tuples(st.integers(0, 10), st.binary(max_size=12)), max_size=6),
    tail=st.binary(max_size=3),
)
def test_service_records_that_nearly_make_sense(priority, target, params, tail):
    """Parameters in any order, with any values."""
    packed = b"".join(struct.pack("!HH", key, len(value)) + value for key, value in params)
    service_record(struct.pack("!H", priority) + target + packed + tail)
