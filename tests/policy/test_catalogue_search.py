"""Finding a service by whatever an officer has at hand."""

import pytest

from schoolgate_policy.catalogue_file import load_catalogue
from schoolgate_policy.catalogue_search import search

CATALOGUE = load_catalogue()


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("twitter", "twitter"),
        ("X", "twitter"),
        ("  X (Twitter) ", "twitter"),
        ("Ask.fm", "ask-fm"),
        ("ask fm", "ask-fm"),
        ("https://www.instagram.com/p/abc?x=1", "instagram"),
        ("www.facebook.com:443", "facebook"),
        ("facebook.com/ourschool", "facebook"),
        ("T.CO.", "twitter"),
        ("nitter.net", "twitter"),
        ("WeChat", "wechat"),
        ("the student room", "the-student-room"),
        ("chatgp", "chatgpt"),
        ("NHS", "nhs"),
    ],
)
def test_found(text: str, first: str) -> None:
    """Ids, titles, names, addresses and parts of them lead to the service."""
    assert search(CATALOGUE, text).services[0].id == first


def test_a_shared_name_gives_all_who_share_it() -> None:
    """A picture network leads to every service that uses it."""
    found = {service.id for service in search(CATALOGUE, "scontent.fbcdn.net").services}
    assert found == {"facebook", "instagram", "messenger", "threads"}


def test_a_category_gives_its_services_and_those_below() -> None:
    """`circumvention` lists VPNs and all; `category:doh` only encrypted DNS."""
    ways = search(CATALOGUE, "circumvention").services
    assert {service.category for service in ways} == {
        "doh", "vpn", "web-proxy", "tor", "private-relay", "translation-and-archive",
    }  # fmt: skip
    assert {service.category for service in search(CATALOGUE, "category:doh").services} == {"doh"}


@pytest.mark.parametrize(
    ("text", "near"), [("facebok", "facebook"), ("instagrm", "instagram"), ("Tik Tock", "tiktok")]
)
def test_a_slip_is_understood(text: str, near: str) -> None:
    """What is nearly the name of a service is answered with that name."""
    result = search(CATALOGUE, text)
    assert not result.services
    assert near in result.near


@pytest.mark.parametrize(
    "text", ["", "   ", "bbc.co.uk", "notfacebook.com", "https://", "qqqqqqq", "..", "a b.c"]
)
def test_nothing_is_found_where_nothing_is(text: str) -> None:
    """Other people's names, and text that is no name, find nothing and break nothing."""
    assert search(CATALOGUE, text).services == ()
