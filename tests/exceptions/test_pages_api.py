"""The JSON interface of the queue: the same rules as the pages, problem documents, and a description that fits."""

import json

import pytest

from schoolgate_exceptions.roles import Role


@pytest.fixture
def officer(live):
    """The e-safety officer, signed in."""
    return live.signed_in("officer@school.example", Role.OFFICER)


def send(live, browser, path, body, **headers):
    return browser.client.post(path, json=body, headers={"Origin": live.url, **headers})


def test_the_whole_way(live, officer):
    """List, show, recommend, approve and revoke, as the description says."""
    head = live.signed_in("head@school.example", Role.HEAD)
    request = live.school.ask()
    (listed,) = officer.get("/api/requests").json()["requests"]
    assert listed["id"] == request.id
    assert "device" not in json.dumps(listed)
    case = officer.get(f"/api/requests/{request.id}").json()
    assert case["suggestion"]["targets"] == ["blocked.example"]
    assert any(line.startswith("+") for line in case["preview"]["diff"])
    body = {"advice": "Fine", "until": "2026-11-27", "version": case["version"]}
    moved = send(live, officer, f"/api/requests/{request.id}/recommend", body).json()
    assert moved["state"] == "recommended"
    assert send(live, officer, f"/api/requests/{request.id}/approve", {}).status_code in {403, 409}
    done = send(live, head, f"/api/requests/{request.id}/approve", {"version": moved["version"]})
    assert done.json()["state"] == "applied"
    assert live.school.is_open("blocked.example")
    assert (
        send(live, officer, f"/api/requests/{request.id}/revoke", {"note": "Over"}).json()["state"]
        == "revoked"
    )


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("REQ-2026-9999/refuse", {"answer": "No"}, 404),
        ("{id}/nonsense", {}, 404),
        ("{id}/refuse", {}, 422),
        ("{id}/refuse", {"answer": 7}, 422),
        ("{id}/refuse", {"answer": "No", "version": "1"}, 422),
        ("{id}/refuse", {"answer": "No", "version": 99}, 409),
        ("{id}/refuse", [], 400),
        ("{id}/recommend", {"advice": "x", "until": "soon"}, 422),
        ("{id}/recommend", {"advice": "x", "until": "2029-01-01"}, 422),
        ("{id}/recommend", {"advice": "x", "targets": "blocked.example"}, 422),
        ("{id}/approve", {}, 409),
    ],
)
def test_problems(live, officer, path, body, status):
    """What is wrong is a problem document (RFC 9457) with the fields it is about."""
    request = live.school.ask()
    answer = send(live, officer, "/api/requests/" + path.format(id=request.id), body)
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]


def test_filters_and_odd_bodies(live, officer):
    """Unknown filters are refused with what is known; a body that is no JSON is 400, a form is 403."""
    live.school.ask()
    assert officer.get("/api/requests", state="lost").status_code == 422
    assert officer.get("/api/requests", kind="lost").status_code == 422
    assert officer.get("/api/requests", state="refused").json() == {"requests": [], "count": 0}
    headers = {"Origin": live.url, "Content-Type": "application/json"}
    assert officer.client.post("/api/requests/x/refuse", content=b"{", headers=headers).status_code == 400
    form = officer.client.post("/api/requests/x/refuse", data={"answer": "No"}, headers={"Origin": live.url})
    assert form.status_code == 403
    elsewhere = send(live, officer, "/api/requests/x/refuse", {}, Origin="https://evil.example")
    assert elsewhere.status_code == 403
    assert officer.client.delete("/api/requests").status_code == 405


def test_the_description_fits(live, officer):
    """Every path of the OpenAPI file exists, and what is answered has the fields it names."""
    document = live.browser().get("/api/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    request = live.school.ask()
    for path, methods in document["paths"].items():
        there = path.replace("{id}", request.id).replace("{reference}", request.reference)
        for method in methods:
            answer = officer.client.request(method, there, json={}, headers={"Origin": live.url})
            assert answer.status_code not in {404, 405}, path
    shape = document["components"]["schemas"]["Request"]["properties"]
    assert set(officer.get("/api/requests").json()["requests"][0]) == set(shape)
