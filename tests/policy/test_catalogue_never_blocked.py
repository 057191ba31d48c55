"""Nothing useful is blocked: a long list of names that no rule made of categories may reach."""

from datetime import UTC, datetime
from pathlib import Path

from policies import HEAD, lists

from schoolgate_policy.catalogue_file import load_catalogue
from schoolgate_policy.decision import Attempt, Verdict
from schoolgate_policy.engine import Engine
from schoolgate_policy.load import parse_policy
from schoolgate_policy.names import canonical_host, suffixes

CATALOGUE = load_catalogue()
TRUSTED = {"banking", "government", "health", "safeguarding"}
AT = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)
FILE = Path(__file__).with_name("never_blocked.txt")
NAMES = [line for line in FILE.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]


def test_the_list_is_long_and_clean() -> None:
    """At least five hundred names, each once, each in its one spelling."""
    assert len(NAMES) >= 500
    assert len(NAMES) == len(set(NAMES))
    assert [canonical_host(name) for name in NAMES] == NAMES


def test_no_service_meant_for_blocking_covers_them() -> None:
    """Neither domains nor shared domains nor front ends of such a service are one of the names, or above one."""
    claims = {
        domain: service.id
        for service in CATALOGUE.services.values()
        if service.category not in TRUSTED
        for domain in (*service.domains, *service.shared_domains, *service.frontends)
    }
    hits = [(name, claims[above]) for name in NAMES for above in suffixes(name) if above in claims]
    assert hits == []


def engine_blocking_everything_known() -> Engine:
    targets = ", ".join(f"category:{id_}" for id_ in CATALOGUE.categories if id_ not in TRUSTED)
    text = f"{HEAD}rules:\n  - {{block: [{targets}], reason: all of it}}\n"
    policy, issues = parse_policy(text.encode(), "policy.yaml", CATALOGUE, lists)
    assert policy is not None, issues
    return Engine(policy)


ENGINE = engine_blocking_everything_known()


def blocked(host: str) -> bool:
    return ENGINE.decide(Attempt("10.20.0.5", host, AT)).verdict is not Verdict.ALLOW


def test_no_name_is_blocked_by_all_categories_together() -> None:
    """A policy that blocks every category there is, but for the trusted ones, still lets every name through."""
    assert [name for name in NAMES if blocked(name)] == []


def test_every_service_is_blocked_by_its_category() -> None:
    """The same policy blocks every name of every service meant for blocking, and names below it."""
    for service in CATALOGUE.services.values():
        for domain in service.domains:
            expected = service.category not in TRUSTED
            assert blocked(domain) is expected, (service.id, domain)
            assert blocked(f"api-v2.edge.{domain}") is expected, (service.id, domain)


def test_look_alikes_of_every_name_are_other_names() -> None:
    """Letters glued to the front, or a further name behind, make a name that no service owns."""
    claims = {
        domain
        for service in CATALOGUE.services.values()
        for domain in (*service.domains, *service.shared_domains, *service.frontends)
    }
    for domain in sorted(claims):
        for other in (f"not{domain}", f"x-{domain}", f"{domain}.example.org"):
            if not any(above in claims for above in suffixes(other)):
                assert not blocked(other), other
    assert not blocked("notfacebook.com")
    assert not blocked("netflix.com")
    assert not blocked("microsoft.co")
