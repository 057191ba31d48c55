"""The description of the JSON interface: a valid OpenAPI 3.1 document that says what is served, no more and no less."""

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from live_portal import LivePortal
from school import School

from schoolgate_exceptions.errors import Unavailable
from schoolgate_exceptions.kinds import Kind, Purpose
from schoolgate_exceptions.model import Ask
from schoolgate_exceptions.office import Limits
from schoolgate_exceptions.roles import SYSTEM, Role
from schoolgate_exceptions.web import api, api_asking
from schoolgate_exceptions.web.map import ROUTES

DOCUMENT: dict[str, Any] = json.loads(
    (files("schoolgate_exceptions") / "texts" / "openapi.json").read_text("utf-8")
)
_PARTS = re.compile(r"{(\w+)}")
_METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield each described operation with its path and method."""
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def served() -> set[tuple[str, str]]:
    """Return what the portal answers with JSON, with the names of actions filled in."""
    found = set()
    for route in ROUTES:
        if not route.json:
            continue
        acts = (*api.ACTS, api.HOLD) if route.path.startswith("/api/requests/") else api_asking.ACTS
        paths = (
            [route.path.replace("{action}", one) for one in acts]
            if "{action}" in route.path
            else [route.path]
        )
        found |= {(path, "get") for path in paths if route.get} | {
            (path, "post") for path in paths if route.post
        }
    return found


def references(value: Any) -> Iterator[str]:
    """Yield every `$ref` below a value."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from references(one)


def schemas(value: Any) -> Iterator[Any]:
    """Yield every schema that stands below a `schema` key, and the components'."""
    if isinstance(value, dict):
        if "schema" in value:
            yield value["schema"]
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from schemas(one)


def test_what_is_served_is_described():
    """Every path and method of the map stands in the document, and none besides."""
    assert {(path, method) for path, method, _ in operations()} == served()


def test_the_document_follows_the_rules():
    """Version, info, unique operation ids, parameters of the path, answers with a description, references that lead somewhere."""
    assert re.fullmatch(r"3\.1\.\d+", DOCUMENT["openapi"])
    assert DOCUMENT["info"]["title"]
    assert DOCUMENT["info"]["version"]
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(ids)) == len(ids)
    known = set(DOCUMENT["components"]["securitySchemes"])
    for path, method, operation in operations():
        assert path.startswith("/")
        assert method in _METHODS
        needed = operation.get("security", DOCUMENT["security"])
        assert all(set(one) <= known for one in needed)
        parameters = operation.get("parameters", [])
        assert len({(one["name"], one["in"]) for one in parameters}) == len(parameters)
        assert {one["name"] for one in parameters if one["in"] == "path"} == set(_PARTS.findall(path))
        assert all(one["required"] for one in parameters if one["in"] == "path")
        assert all(one["in"] in {"path", "query", "header", "cookie"} for one in parameters)
        assert operation["responses"]
        for code, answer in operation["responses"].items():
            assert re.fullmatch(r"default|[1-5](XX|\d\d)", code)
            assert answer["description"]
        if method == "post":
            assert operation["requestBody"]["content"]["application/json"]["schema"]["type"] == "object"
        else:
            assert "requestBody" not in operation
    for scheme in DOCUMENT["components"]["securitySchemes"].values():
        assert {"apiKey": {"name", "in"}, "http": {"scheme"}}[scheme["type"]] <= set(scheme)
    for reference in references(DOCUMENT):
        there: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            there = there[part]
    for schema in [*schemas(DOCUMENT), *DOCUMENT["components"]["schemas"].values()]:
        Draft202012Validator.check_schema(schema)


class Served:
    """A portal, a program of every role, and the answer codes that were seen."""

    def __init__(self, live: LivePortal) -> None:
        self.live, self.school = live, live.school
        self.seen: dict[tuple[str, str], set[int]] = {}
        self.programs: dict[str, httpx.Client] = {}
        for name, roles in (
            ("officer", (Role.OFFICER,)), ("head", (Role.HEAD,)), ("dsl", (Role.DSL,)), ("teacher", (Role.TEACHER,)), ("other", (Role.TEACHER,)),
        ):  # fmt: skip
            email = f"{name}@school.example"
            self.school.person(email, *roles)
            _, secret = self.school.service.api_tokens.make(SYSTEM, email, "test")
            self.programs[name] = httpx.Client(
                base_url=live.url, headers={"Authorization": f"Bearer {secret}"}, timeout=60
            )
        self.programs["nobody"] = httpx.Client(base_url=live.url, timeout=60)

    def call(self, path: str, method: str, who: str, *, body: Any = None, **more: Any) -> httpx.Response:
        """Call an operation with parts filled in; check what is answered against its description."""
        parts = more.pop("parts", {})
        given: dict[str, Any] = {"json": body} if method == "post" and "content" not in more else {}
        answer = self.programs[who].request(method, path.format(**parts), **given, **more)
        code = str(answer.status_code)
        described = DOCUMENT["paths"][path][method]["responses"]
        assert code in described, f"{method} {path} answers {code}: {answer.text}"
        self.seen.setdefault((path, method), set()).add(answer.status_code)
        kind = answer.headers["Content-Type"]
        schema = described[code]["content"][kind]["schema"]
        whole = {**schema, "components": DOCUMENT["components"]}
        Draft202012Validator(whole).validate(answer.json())
        return answer

    def close(self) -> None:
        """Close the programs."""
        for client in self.programs.values():
            client.close()


@pytest.fixture
def portal(live: LivePortal) -> Iterator[Served]:
    """A portal with programs."""
    made = Served(live)
    yield made
    made.close()


_HAPPY: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "take": ("officer", {}, ()),
    "ask-back": ("officer", {"question": "Which lesson?"}, ()),
    "refer": ("officer", {"note": "look"}, ()),
    "recommend": ("officer", {"advice": "fine"}, ()),
    "reconsider": ("head", {"note": "too long"}, ("recommend",)),
    "refuse": ("officer", {"answer": "No"}, ()),
    "approve": ("head", {}, ("recommend",)),
    "block-now": ("officer", {"note": "seen"}, ()),
    "settle": ("dsl", {"answer": "Thank you"}, ()),
    "shorten": ("officer", {"until": "2026-11-24"}, ("recommend", "approve")),
    "revoke": ("officer", {"note": "over"}, ("recommend", "approve")),
    "hold": ("head", {"reason": "complaint 4"}, ()),
}
_REPORTS = {"block-now", "settle"}


def _fresh(portal: Served, action: str, number: list[int]) -> str:
    """Return a new request that an action can be done with."""
    number[0] += 1
    host = f"h{number[0]}.blocked.example" if action not in _REPORTS else f"open{number[0]}.example"
    address = f"10.20.{number[0] // 200}.{number[0] % 200}"
    kind, reason = (Kind.REPORT, "I want to die") if action in _REPORTS else (Kind.UNBLOCK, "Volcanoes")
    asking = portal.school.service.asking
    ask = Ask(kind, Purpose.LESSON, reason, None, host)
    name = asking.submit(ask, asking.asker(address), address).request.id
    for step in _HAPPY[action][2]:
        who, body, _ = _HAPPY[step]
        answer = portal.call(f"/api/requests/{{id}}/{step}", "post", who, body=body, parts={"id": name})
        assert answer.status_code == 200, answer.text
    return name


@pytest.mark.timeout(900)
def test_each_answer_that_is_described_is_given(portal: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every operation gives each of its answers, of the shape the document says, and no other."""
    school: School = portal.school
    number = [0]
    for action, (who, body, _) in _HAPPY.items():
        path = f"/api/requests/{{id}}/{action}"
        name = _fresh(portal, action, number)
        there = {"parts": {"id": name}}
        if (
            "version"
            in DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"][
                "properties"
            ]
        ):
            portal.call(path, "post", who, body={**body, "version": 99}, **there)
            portal.call(path, "post", who, body={**body, "version": "1"}, **there)
        else:
            portal.call(path, "post", who, body={**body, "reason": 7}, **there)
        assert portal.call(path, "post", who, body=body, **there).status_code == 200
        portal.call(path, "post", who, body=body, parts={"id": "REQ-1999-0001"})
        _refused(portal, path, {"id": name}, who)
    asking = school.service.asking
    teacher = school.service.accounts.listed()
    account = next(one for one in teacher if one.email.startswith("teacher")).actor(
        school.service.office.today()
    )
    for action, body in (("answer", {"answer": "Geography"}), ("withdraw", {})):
        path = f"/api/standing/{{reference}}/{action}"
        ask = Ask(Kind.UNBLOCK, Purpose.WORK, "Forum", None, f"{action}.blocked.example")
        mine = asking.submit(ask, account, "10.10.0.5").request
        if action == "answer":
            portal.call(path, "post", "teacher", body=body, parts={"reference": mine.reference})
            portal.call(
                "/api/requests/{id}/ask-back",
                "post",
                "officer",
                body={"question": "?"},
                parts={"id": mine.id},
            )
            portal.call(path, "post", "teacher", body={"answer": ""}, parts={"reference": mine.reference})
        portal.call(path, "post", "other", body=body, parts={"reference": mine.reference})
        portal.call(path, "post", "teacher", body=body, parts={"reference": mine.reference})
        portal.call(path, "post", "teacher", body=body, parts={"reference": mine.reference})
        portal.call(path, "post", "teacher", body=body, parts={"reference": "K0-000"})
        _refused(portal, path, {"reference": mine.reference}, "teacher")
        portal.call("/api/standing/{reference}", "get", "other", parts={"reference": mine.reference})
    portal.call("/api/standing/{reference}", "get", "other", parts={"reference": "K0-000"})
    portal.call("/api/standing/{reference}", "get", "nobody", parts={"reference": "K0-000"})
    one, two = (_fresh(portal, "take", number) for _ in range(2))
    several = "/api/requests/refuse"
    portal.call(several, "post", "officer", body={"requests": [], "answer": "No"})
    portal.call(several, "post", "officer", body={"requests": [one, "REQ-1999-0001"], "answer": "No"})
    portal.call(several, "post", "officer", body={"requests": [one, two], "answer": "No"})
    portal.call(several, "post", "officer", body={"requests": [one, two], "answer": "No"})
    _refused(portal, several, {}, "officer")
    portal.call("/api/requests/{id}", "get", "officer", parts={"id": two})
    portal.call("/api/requests/{id}", "get", "teacher", parts={"id": two})
    portal.call("/api/requests/{id}", "get", "officer", parts={"id": "REQ-1999-0001"})
    portal.call("/api/requests/{id}", "get", "nobody", parts={"id": two})
    wish = {"host": "other.example", "reason": "Forum", "purpose": "work"}
    portal.call("/api/requests", "post", "teacher", body=wish)
    portal.call("/api/requests", "post", "other", body=wish)
    portal.call("/api/requests", "post", "teacher", body={"host": "a b"})
    for count in range(Limits().device_open):
        portal.call("/api/requests", "post", "other", body={**wish, "host": f"w{count}.blocked.example"})
    portal.call("/api/requests", "post", "other", body={**wish, "host": "last.blocked.example"})
    _refused(portal, "/api/requests", {}, "teacher")
    for query in ("", "?state=lost", "?safeguarding=true&with_dsl=false&most=1", "?most=0"):
        answer = portal.programs["officer"].get(f"/api/requests{query}")
        portal.seen.setdefault(("/api/requests", "get"), set()).add(answer.status_code)
    assert portal.call("/api/requests", "get", "officer", params={"most": 1}).json()["count"] > 1
    portal.call("/api/requests", "get", "teacher")
    portal.call("/api/requests", "get", "nobody")
    portal.call("/api/openapi.json", "get", "nobody")
    _unavailable(portal, monkeypatch)
    described = {
        (path, method): {int(code) for code in operation["responses"]}
        for path, method, operation in operations()
    }
    assert portal.seen == described


def _refused(portal: Served, path: str, parts: dict[str, str], who: str) -> None:
    """See what a body that is no JSON, one that is too long, a form, and nobody in particular are answered."""
    portal.call(path, "post", who, parts=parts, content=b"{", headers={"Content-Type": "application/json"})
    portal.call(
        path, "post", who, parts=parts, content=b" " * 70_000, headers={"Content-Type": "application/json"}
    )
    portal.call(path, "post", who, parts=parts, content=b"a=b", headers={"Content-Type": "text/plain"})
    portal.call(path, "post", "nobody", parts=parts, body={})


def _unavailable(portal: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the database fail once somebody is known, and call everything."""
    service = portal.school.service

    def fails(*_: object, **__: object) -> Any:
        raise Unavailable("the database cannot be used now; nothing was recorded")

    for part, names in (
        (service.queue, ("listed", "count", "case", "hold")),
        (service.reviewing, ("take", "ask_back", "refer", "recommend", "reconsider", "refuse", "refuse_all", "block_now", "settle")),
        (service.approving, ("approve",)),
        (service.ending, ("shorten", "revoke")),
        (service.asking, ("submit", "standing", "answer", "withdraw")),
    ):  # fmt: skip
        for name in names:
            monkeypatch.setattr(part, name, fails)
    for path, method, operation in operations():
        if "503" in operation["responses"]:
            parts = {"id": "REQ-2026-0001", "reference": "K7-4QX"}
            body = {"until": "2026-12-01"} if path.endswith("shorten") else {}
            body = {"requests": ["x"]} if path == "/api/requests/refuse" else body
            assert portal.call(path, method, "officer", body=body, parts=parts).status_code == 503
