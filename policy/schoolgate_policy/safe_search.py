"""Filtered search results and YouTube's Restricted Mode: which names stand for which, and which headers ask for it.

Each search engine documents a name whose address serves filtered results under the engine's usual certificate (for
DNS), and a header or a query parameter that asks for the same (where requests are seen). This file is that knowledge
as data; enforcing it is the business of DNS and proxy.
Sources: the help pages of Google ("Lock SafeSearch"), YouTube ("Restrict YouTube content"), Microsoft Bing ("Blocking
adult content"), DuckDuckGo ("Safe search features"), Brave Search ("Force safe search").
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from schoolgate_policy.model import Strength


@dataclass(frozen=True, slots=True)
class Enforcement:
    """How one strength of one engine is asked for."""

    alias: str  # the name whose addresses are given out instead
    query: Mapping[str, str] = field(default_factory=dict)  # set on every search request
    headers: Mapping[str, str] = field(default_factory=dict)  # set on every request


@dataclass(frozen=True, slots=True)
class SearchEngine:
    """A search engine, its names (exactly these, nothing below them) and its strengths."""

    id: str
    hosts: tuple[str, ...]
    strengths: Mapping[Strength, Enforcement]


# Countries with a Google search site of their own, as the last part of www.google.X
_GOOGLE = """
com ac ad ae al am as at az ba be bf bg bi bj bs bt by ca cat cd cf cg ch ci cl cm cn cv cz de dj dk dm dz ee es fi fm
fr ga ge gg gl gm gp gr gy hn hr ht hu ie im iq is it je jo kg ki kz la li lk lt lu lv md me mg mk ml mn ms mu mv mw ne
nl no nr nu pl pn ps pt ro rs ru rw sc se sh si sk sm sn so sr st td tg tk tl tm tn to tt vg vu ws
co.ao co.bw co.ck co.cr co.id co.il co.in co.jp co.ke co.kr co.ls co.ma co.mz co.nz co.th co.tz co.ug co.uk co.uz co.ve
co.vi co.za co.zm co.zw com.af com.ag com.ai com.ar com.au com.bd com.bh com.bn com.bo com.br com.bz com.co com.cu
com.cy com.do com.ec com.eg com.et com.fj com.gh com.gi com.gt com.hk com.jm com.kh com.kw com.lb com.ly com.mm com.mt
com.mx com.my com.na com.nf com.ng com.ni com.np com.om com.pa com.pe com.pg com.ph com.pk com.pr com.py com.qa com.sa
com.sb com.sg com.sl com.sv com.tj com.tr com.tw com.ua com.uy com.vc com.vn
"""

ENGINES = (
    SearchEngine(
        "google",
        tuple(f"www.google.{country}" for country in _GOOGLE.split()),
        {Strength.STRICT: Enforcement("forcesafesearch.google.com", query={"safe": "active"})},
    ),
    SearchEngine(
        "bing",
        ("bing.com", "www.bing.com", "edgeservices.bing.com"),
        {Strength.STRICT: Enforcement("strict.bing.com", query={"adlt": "strict"})},
    ),
    SearchEngine(
        "duckduckgo",
        (
            "duckduckgo.com",
            "html.duckduckgo.com",
            "lite.duckduckgo.com",
            "start.duckduckgo.com",
            "www.duckduckgo.com",
        ),
        {Strength.STRICT: Enforcement("safe.duckduckgo.com", query={"kp": "1"})},
    ),
    SearchEngine(
        "brave",
        ("search.brave.com",),
        {Strength.STRICT: Enforcement("forcesafe.search.brave.com", query={"safesearch": "strict"})},
    ),
    SearchEngine(
        "youtube",
        (
            "m.youtube.com",
            "www.youtube-nocookie.com",
            "www.youtube.com",
            "youtube.googleapis.com",
            "youtubei.googleapis.com",
        ),
        {
            Strength.STRICT: Enforcement("restrict.youtube.com", headers={"YouTube-Restrict": "Strict"}),
            Strength.MODERATE: Enforcement(
                "restrictmoderate.youtube.com", headers={"YouTube-Restrict": "Moderate"}
            ),
        },
    ),
)


@cache
def _by_host() -> dict[str, SearchEngine]:
    return {host: engine for engine in ENGINES for host in engine.hosts}


def enforcement(wanted: Mapping[str, Strength], host: str) -> Enforcement | None:
    """Return how a canonical host is to be filtered on a network whose `safe_search` is `wanted`; None: not at all.

    Where an engine has one strength only, that one serves for every strength.
    """
    engine = _by_host().get(host) if wanted else None
    strength = wanted.get(engine.id) if engine else None
    if engine is None or strength is None:
        return None
    return engine.strengths.get(strength) or engine.strengths[Strength.STRICT]
