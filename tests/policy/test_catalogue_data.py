"""The shipped catalogue: what has to be in it, and what may never be."""

import re
from collections import Counter
from datetime import date
from urllib.parse import urlsplit

import pytest

from schoolgate_policy.catalogue_file import HEADER, load_catalogue, read_texts, shipped
from schoolgate_policy.catalogue_search import by_host
from schoolgate_policy.catalogue_update import public_suffixes
from schoolgate_policy.model import Service
from schoolgate_policy.names import canonical_host, suffixes

CATALOGUE = load_catalogue()
SERVICES = CATALOGUE.services.values()

# Named by the school policies that the product was written for, by the words they use.
NAMED_BY_SCHOOLS = (
    "twitter", "facebook", "instagram", "linkedin", "snapchat", "reddit", "pinterest", "youtube", "wordpress",
    "tumblr", "ask-fm", "whatsapp", "tiktok", "myspace",
)  # fmt: skip

# The services that a reference collection of domain names knows, and those that it says it lacks.
KNOWN_ELSEWHERE = (
    "4chan", "bluesky", "chatango", "clubhouse", "dailymotion", "deviantart", "discord", "facebook", "misskey",
    "flickr", "imgur", "instagram", "kakaotalk", "kick", "likee", "line", "linkedin", "livejournal", "medium",
    "messenger", "ok", "pinterest", "quora", "reddit", "roblox", "rumble", "signal", "snapchat", "steam-community",
    "telegram", "threads", "tiktok", "tumblr", "twitch", "twitter", "viber", "vimeo", "vk", "vrchat", "weibo",
    "whatsapp", "wordpress", "xiaohongshu", "youtube",
)  # fmt: skip
LACKED_ELSEWHERE = (
    "ask-fm", "ngl", "tellonym", "sendit", "myspace", "bereal", "omegle", "ometv", "monkey", "kik", "wechat",
    "yubo", "wizz", "amino", "lemon8", "wattpad", "nextdoor", "meetup", "tinder", "badoo", "bigo-live", "odysee",
    "mastodon", "onlyfans", "truth-social", "gab", "parler",
)  # fmt: skip

CATEGORIES = {
    "social-media": None,
    **dict.fromkeys(
        (
            "social-network", "messaging", "video-chat", "anonymous-chat", "forum", "photo-sharing",
            "professional-network", "gaming-chat", "dating", "adult-social",
        ),
        "social-media",
    ),
    **dict.fromkeys(("video", "blog", "wiki", "gaming", "ai-chat")),
    "ai-companion": "ai-chat",
    "circumvention": None,
    **dict.fromkeys(
        ("doh", "vpn", "web-proxy", "tor", "private-relay", "translation-and-archive"), "circumvention"
    ),
    **dict.fromkeys(("banking", "health", "government", "safeguarding")),
}  # fmt: skip

# Public suffixes that are one party's own: registries of the state, and names a service gives out below itself.
OWN_SUFFIXES = {
    "bear-blog": {"bearblog.dev"},
    "blogger": {"blogspot.com"},
    "carrd": {"carrd.co"},
    "chatgpt": {"oaiusercontent.com"},
    "claude": {"claudeusercontent.com"},
    "discord": {"discordsays.com"},
    "google-page-translation": {"translate.goog"},
    "ipfs-gateways": {"cf-ipfs.com", "cloudflare-ipfs.com", "dweb.link", "eth.limo", "eth.link"},
    "nhs": {"nhs.uk"},
    "police": {"police.uk"},
    "quick-tunnels": {
        "ngrok-free.app", "ngrok-free.dev", "ngrok.app", "ngrok.dev", "ngrok.io", "trycloudflare.com",
    },
    "tailscale": {"ts.net"},
    "tor-project": {"torproject.net"},
    "uk-government": {"gov.scot", "gov.uk", "mygov.scot"},
    "youtube": {"withyoutube.com"},
}  # fmt: skip

# Names everybody's sites hang from. Blocking one would break half of the web.
SHARED_GROUND = (
    "akamai.net", "akamaiedge.net", "akamaihd.net", "akamaized.net", "amazonaws.com", "appspot.com",
    "azureedge.net", "cdn.cloudflare.net", "cloudflare.com", "cloudflare.net", "cloudfront.net", "edgekey.net",
    "edgesuite.net", "fastly.net", "github.io", "google.com", "googleapis.com", "googleusercontent.com",
    "gstatic.com", "herokuapp.com", "icloud.com", "live.com", "map.fastly.net", "microsoft.com", "msedge.net",
    "qq.com", "s3.amazonaws.com", "sina.com.cn", "ssl.fastly.net", "storage.googleapis.com", "w.org",
    "windows.net", "wordpress.org",
)  # fmt: skip

# A service whose names lie below another's: the closer name wins.
WITHIN_ANOTHER = {("ceop", "police")}


def claimed(service: Service) -> tuple[str, ...]:
    return (*service.domains, *service.shared_domains, *service.frontends)


def test_every_category_of_the_policies_is_there() -> None:
    """The categories that policies speak of exist, each with its parent, and no others."""
    assert {category.id: category.parent for category in CATALOGUE.categories.values()} == CATEGORIES


def test_categories_explain_themselves() -> None:
    """Each category says in words what belongs to it, and holds services unless it stands for others."""
    filled = Counter(service.category for service in SERVICES)
    parents = {category.parent for category in CATALOGUE.categories.values()}
    for category in CATALOGUE.categories.values():
        assert len(category.about) > 20, category.id
        assert filled[category.id] or category.id in parents, category.id


@pytest.mark.parametrize("name", sorted({*NAMED_BY_SCHOOLS, *KNOWN_ELSEWHERE, *LACKED_ELSEWHERE}))
def test_named_services_are_there(name: str) -> None:
    """What school policies and the reference collection name is in the catalogue, with domains."""
    assert CATALOGUE.services[name].domains


def test_there_are_enough() -> None:
    """Social media alone has far more than the seventy services asked for."""
    social = {id_ for id_, parent in CATEGORIES.items() if parent == "social-media"}
    assert sum(service.category in social for service in SERVICES) >= 130


@pytest.mark.parametrize(
    ("host", "service"),
    [
        ("t.co", "twitter"),
        ("abs.twimg.com", "twitter"),
        ("api.x.com", "twitter"),
        ("fb.com", "facebook"),
        ("m.facebook.com", "facebook"),
        ("graph.instagram.com", "instagram"),
        ("i.instagram.com", "instagram"),
        ("rr3---sn-aigl6nek.googlevideo.com", "youtube"),
        ("i.ytimg.com", "youtube"),
        ("www.youtube-nocookie.com", "youtube"),
        ("youtubei.googleapis.com", "youtube"),
        ("yt3.ggpht.com", "youtube"),
        ("web.whatsapp.com", "whatsapp"),
        ("wa.me", "whatsapp"),
        ("pin.it", "pinterest"),
        ("v.redd.it", "reddit"),
        ("api16-normal-c-useast1a.tiktokv.com", "tiktok"),
        ("cf-st.sc-cdn.net", "snapchat"),
        ("www-facebook-com.translate.goog", "google-page-translation"),
        ("mask.icloud.com", "icloud-private-relay"),
        ("mozilla.cloudflare-dns.com", "cloudflare-dns"),
        ("dns.google", "google-dns"),
        ("web.archive.org", "wayback-machine"),
        ("archive.ph", "archive-today"),
        ("school.blogspot.com", "blogger"),
        ("nitter.net", "twitter"),
        ("ceop.police.uk", "ceop"),
    ],
)
def test_host_belongs_to_service(host: str, service: str) -> None:
    """Sites, APIs, content networks, shorteners and front ends lead to their service."""
    assert by_host(CATALOGUE, host)[0].id == service


@pytest.mark.parametrize("service", ["facebook", "instagram", "messenger", "threads"])
def test_metas_picture_network_is_shared(service: str) -> None:
    """Pictures of four services come from fbcdn.net; no one of them owns it."""
    assert "fbcdn.net" in CATALOGUE.services[service].shared_domains


def test_no_name_has_two_owners() -> None:
    """A domain or front end belongs to one service; a shared domain is owned by none."""
    owned = Counter(domain for service in SERVICES for domain in (*service.domains, *service.frontends))
    assert [domain for domain, count in owned.items() if count > 1] == []
    shared = {domain for service in SERVICES for domain in service.shared_domains}
    assert shared & set(owned) == set()


def test_no_name_lies_below_another() -> None:
    """No entry is made needless by a name above it; a service within a service is a decision written down here."""
    owner = {domain: service.id for service in SERVICES for domain in (*service.domains, *service.frontends)}
    nested = {
        (service.id, owner[above], domain)
        for service in SERVICES
        for domain in claimed(service)
        for above in suffixes(domain)
        if above != domain and above in owner
    }
    assert {(inner, outer) for inner, outer, _ in nested} <= WITHIN_ANOTHER, nested


def test_no_public_suffix() -> None:
    """Nobody claims a name under which strangers register theirs; the exceptions are written down here."""
    foreign = [
        (service.id, domain)
        for service, domain in public_suffixes(CATALOGUE)
        if domain not in OWN_SUFFIXES.get(service.id, set())
    ]
    assert foreign == []


def test_no_shared_ground() -> None:
    """The parents of content networks and clouds belong to no service, also not as shared."""
    assert {domain for service in SERVICES for domain in claimed(service)} & set(SHARED_GROUND) == set()


def test_names_are_canonical_and_sorted() -> None:
    """Every name is in its one spelling, and every list in order."""
    for service in SERVICES:
        for names in (service.domains, service.shared_domains, service.frontends):
            assert list(names) == sorted(names), service.id
            assert [canonical_host(name) for name in names] == list(names), service.id


def test_services_without_domains_are_no_services() -> None:
    """Every service can be blocked: it owns at least one name, and ids and titles are fit to be read."""
    titles = Counter(service.title for service in SERVICES)
    assert [title for title, count in titles.items() if count > 1] == []
    for service in SERVICES:
        assert service.domains, service.id
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", service.id), service.id


def test_ages_have_a_source_and_a_date() -> None:
    """A minimum age is a plausible one, read at an https address, on a day that has been."""
    aged = [service.min_age for service in SERVICES if service.min_age]
    assert len(aged) > 80
    for age in aged:
        assert 13 <= age.years <= 18
        assert urlsplit(age.source).scheme == "https"
        assert date(2026, 11, 1) <= age.checked <= date.fromisoformat(CATALOGUE.version.partition(".")[0])


def test_ages_that_schools_ask_about() -> None:
    """WhatsApp is 13 since 2024 (older policies say 16), LinkedIn 16."""
    ages = {
        name: CATALOGUE.services[name].min_age for name in ("whatsapp", "linkedin", "tiktok", "instagram")
    }
    assert {name: age.years for name, age in ages.items() if age} == {
        "whatsapp": 13, "linkedin": 16, "tiktok": 13, "instagram": 13,
    }  # fmt: skip


def test_front_ends_are_known() -> None:
    """The services most often shown by somebody else's site name those sites."""
    for name in ("instagram", "reddit", "tiktok", "twitter", "youtube"):
        assert len(CATALOGUE.services[name].frontends) >= 5, name


def test_files_are_named_for_their_category() -> None:
    """An officer finds a category by the name of its file."""
    for name, text in read_texts(shipped()):
        stem = name.rpartition("/")[2].removesuffix(".yaml")
        assert name.endswith(HEADER) or f"\ncategory: {stem}\n" in f"\n{text}", name
