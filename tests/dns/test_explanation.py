"""Why a name is blocked: text for people, JSON for programs that ask for it."""

import json
from types import SimpleNamespace

import pytest
from dnslib import QTYPE

from schoolgate_policy.decision import Reason


def why(rig, dns, name: str = "facebook.com", **query) -> str:
    ((code, text),) = dns.edes(rig.ask(name, **query))
    assert code == 15
    return text


@pytest.mark.parametrize("asked", [b"", b"\0\0"])
def test_structured_errors_are_for_who_asks(rig, dns, asked):
    """The text is JSON with contact, justification, sub-error and organisation; without asking it is plain."""
    rig.engine.block("facebook.com")
    said = json.loads(why(rig, dns, options=[(15, asked)]))
    assert said == {"c": ["mailto:esafety@school.example"], "j": "Not in lessons", "s": 5, "o": "Test School"}
    assert why(rig, dns) == "pupils, policy.yaml:41: Not in lessons"


@pytest.mark.parametrize("who", ["STAFF", "PUPIL", "GUEST"])
def test_who_takes_structured_errors_gets_no_forged_address(rig, dns, who):
    """The draft's section on servers: no address of ours where the client can show the reason itself."""
    rig.engine.block("facebook.com")
    reply = rig.ask("facebook.com", source=getattr(dns, who), options=[(15, b"")])
    assert reply.rr == []
    assert [QTYPE[rr.rtype] for rr in reply.auth] == ["SOA"]


@pytest.mark.parametrize("message", ["long " * 200, "ö" * 400, '"quoted"\n' * 60, "x" * 236])
def test_the_json_is_whole_whatever_the_reason(rig, dns, message):
    """A long reason is shortened inside the JSON, never cut through it; the answer fits a datagram of 512."""
    rig.engine.block("facebook.com", message=message)
    said = json.loads(why(rig, dns, options=[(15, b"")], size=512))
    assert message.startswith(said["j"])
    assert len(said["j"]) > 30


def test_without_anybody_to_turn_to_it_is_plain(rig, dns):
    """The contact is mandatory: a school that names none gives text."""
    rig.engine.block("facebook.com")
    rig.engine.policy.school = SimpleNamespace(name="Test School", contacts={})
    assert why(rig, dns, options=[(15, b"")]).startswith("pupils, ")
    rig.engine.policy.school = SimpleNamespace(name="S", contacts={"dsl": "https://school.example/dsl"})
    assert json.loads(why(rig, dns, options=[(15, b"")]))["c"] == ["https://school.example/dsl"]
    rig.engine.policy.school = SimpleNamespace(name="S" * 400, contacts={"dsl": "dsl@school.example"})
    assert why(rig, dns, options=[(15, b"")]).startswith("pupils, ")


def test_the_text_names_what_decided(rig, dns):
    """Network, rule or exception, and line."""
    rig.engine.block("facebook.com", rule=2)
    assert why(rig, dns) == "pupils, rules[2], policy.yaml:41: Not in lessons"
    rig.engine.block("facebook.com", exception="REQ-7", reason=Reason.EXCEPTION)
    assert why(rig, dns) == "pupils, REQ-7, policy.yaml:41: Not in lessons"
