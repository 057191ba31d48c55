"""Companions of page exceptions and widgets on the school's own site, through the real proxy."""

from typing import Any

import pytest

RULES = """rules:
  - {allow: video.example, within: [school.example], for: [pupils, staff], reason: videos in lessons}
  - {block: [social.example, cdn.example, video.example], reason: not here}
exceptions:
  - {id: R1, allow: social.example/ourschool, companions: [static.cdn.example], for: [pupils, staff],
     until: 2026-12-18, reason: the school's page}
"""
PUPIL, STAFF = "127.0.20.5", "127.0.10.5"


def status(internet: Any, url: str, headers: str = "", address: str = PUPIL) -> int:
    """Ask for a URL over HTTPS and return the status."""
    host, slash, path = url.partition("/")
    return int(internet.get(host, slash + path, address, headers=headers).split(b" ")[1])


@pytest.mark.parametrize("address", [PUPIL, STAFF])
def test_companions_are_parts_of_their_page(internet: Any, address: str) -> None:
    """A companion is served to the page and to nobody who goes there."""
    internet.use_policy(RULES)
    page, part = "social.example/ourschool", "static.cdn.example/x.js"
    of_page = "Referer: https://social.example/\r\n"
    assert status(internet, page, address=address) == 200
    assert status(internet, part, of_page + "Sec-Fetch-Dest: script\r\n", address) == 200
    assert status(internet, part, "Origin: https://social.example\r\n", address) == 200
    assert status(internet, part, of_page + "Sec-Fetch-Dest: document\r\n", address) == 403
    assert status(internet, part, "Referer: https://other.example/\r\n", address) == 403
    assert status(internet, part, "Origin: null\r\n", address) == 403
    assert status(internet, part, address=address) == 403
    assert (
        status(internet, "social.example/groups", "Referer: https://social.example/ourschool\r\n", address)
        == 403
    )
    assert [seen.host for seen in internet.origin.seen] == ["social.example"] + ["static.cdn.example"] * 2


def test_widgets_work_in_the_schools_own_pages(internet: Any) -> None:
    """A blocked service is a frame of the school's page, with its own parts, and blocked by itself and elsewhere."""
    internet.use_policy(RULES)
    frame = "Sec-Fetch-Dest: iframe\r\n"
    assert status(internet, "video.example/embed/1", f"{frame}Referer: https://school.example/\r\n") == 200
    assert status(internet, "i.video.example/player.js", "Referer: https://video.example/embed/1\r\n") == 200
    assert status(internet, "video.example/embed/1", f"{frame}Referer: https://games.example/\r\n") == 403
    assert (
        status(
            internet, "video.example/watch", "Sec-Fetch-Dest: document\r\nReferer: https://video.example/\r\n"
        )
        == 403
    )


def test_parts_over_plain_http(internet: Any) -> None:
    """The gate, which answers plain requests itself, knows the page too."""
    internet.use_policy(RULES)
    head = "GET http://static.cdn.example/x.js HTTP/1.1\r\nHost: static.cdn.example\r\nConnection: close\r\n"
    assert internet.plain(f"{head}Referer: http://social.example/\r\n\r\n".encode()).startswith(
        b"HTTP/1.1 200 "
    )
    assert internet.plain(f"{head}\r\n".encode()).startswith(b"HTTP/1.1 403 ")
