"""Asking in the portal: three questions, the code, how it stands, and everything people can get wrong."""

import re

import pytest

LINES = {"for": "lesson", "until": "week", "reason": "Volcanoes"}


def about(live, host="blocked.example"):
    return live.school.link(host, "127.0.0.1")


def ask(live, browser, **changes):
    fields = {"about": about(live), **LINES, **changes}
    return browser.post("/ask", page="/report", **fields)


def text_of(page):
    bare = re.sub(r"<(style|svg).*?</\1>", " ", page.text, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", bare).split())


def test_three_questions_lead_to_a_code(live):
    """From the block page's link to the code: three questions, the site is fixed, no name is asked for."""
    pupil, link = live.browser(), about(live)
    first = pupil.get("/ask", about=link)
    assert "Question 1 of 3" in first.text
    assert "blocked.example" in first.text
    assert not re.search(r'name="(host|name|email)"', first.text)
    second = pupil.get("/ask", about=link, **{"for": "lesson"})
    assert "Question 2 of 3" in second.text
    third = pupil.get("/ask", about=link, **{"for": "lesson", "until": "week"})
    assert "Which lesson is it for?" in third.text
    sent = ask(live, pupil)
    assert re.fullmatch(r"/sent/[0-9A-Z]{2}-[0-9A-Z]{3}", sent.url.path)
    assert sent.url.path.rpartition("/")[2] in text_of(sent)
    (request,) = [one for group in live.school.service.queue.groups(officer(live)) for one in group.entries]
    assert request.request.reason == "Volcanoes"
    assert request.request.requester.network == "pupils"
    assert f"{request.request.wanted_until:%F %H:%M}" == "2026-11-28 00:00"


def officer(live):
    from schoolgate_exceptions.roles import Role

    return live.school.person("officer@school.example", Role.OFFICER)


def test_looking_changes_nothing(live):
    """Every question can be opened with GET as often as one likes; only the last form makes a request."""
    pupil, link = live.browser(), about(live)
    for _ in range(3):
        for query in ({}, {"for": "lesson"}, {"for": "lesson", "until": "day"}):
            assert pupil.get("/ask", about=link, **query).status_code == 200
    assert not live.school.service.queue.listed(officer(live))


def test_an_empty_answer_is_said_beside_the_question(live):
    """An unanswered question comes again with the error summary, the words beside the field, and `Error:` in the title."""
    page = live.browser().get("/ask", about=about(live), **{"asked": "1", "for-asked": "1"})
    assert page.status_code == 422
    assert page.text.count("Pick one") == 2
    assert 'href="#for"' in page.text
    assert 'id="for"' in page.text
    assert "<title>Error: " in page.text
    again = ask(live, live.browser(), reason="  ")
    assert again.status_code == 422
    assert 'href="#reason"' in again.text


def test_already_asked(live):
    """Who asks for what somebody has asked for sees that, may say `I need it too`, and there is one request still."""
    first = ask(live, live.browser())
    code = first.url.path.rpartition("/")[2]
    page = live.browser().get("/ask", about=live.school.link("blocked.example", "10.20.0.9"))
    assert "Somebody asked already" in page.text
    joined = live.browser().post(
        "/ask", page="/report", about=live.school.link("blocked.example", "10.20.0.9"), also="1"
    )
    assert joined.url.path == f"/requests/{code}"
    (request,) = live.school.service.queue.listed(officer(live))
    assert request.askers == 2


@pytest.mark.parametrize("link", ["nonsense", "a.b.c", ".eJwDAAAAAAE.AAAA", "x" * 5000])
def test_a_forged_link(live, link):
    """A link that is not ours says what to do, with 410, for GET and POST."""
    page = live.browser().get("/ask", about=link)
    assert page.status_code == 410
    assert "Go back to the page that was closed" in page.text
    assert ask(live, live.browser(), about=link).status_code == 410


def test_a_stale_link(live):
    """A link older than half an hour asks to load the closed page again."""
    link = about(live)
    live.school.clock.forward(minutes=31)
    page = live.browser().get("/ask", about=link)
    assert page.status_code == 410
    assert "too old" in page.text


def test_a_typed_site(live):
    """Without a link the site is typed: nonsense is refused, an open site is said to be open, a URL is fine."""
    browser = live.browser()
    assert "Which page do you need?" in browser.get("/ask").text
    assert browser.get("/ask", host="", asked="1").status_code == 422
    bad = browser.post("/ask", page="/report", host="no site", **LINES)
    assert bad.status_code == 422
    assert 'id="host"' in bad.text
    opened = browser.post("/ask", page="/report", host="open.example", **LINES)
    assert "You can use this page now" in opened.text
    good = browser.post("/ask", page="/report", host="https://www.blocked.example/a?b=c", **LINES)
    assert good.url.path.startswith("/sent/")


def test_recruitment_is_a_refused_purpose(live):
    """Staff who want to vet an applicant are told why not, and no request is made."""
    teacher = live.signed_in("teacher@school.example", *roles("TEACHER"))
    page = teacher.post(
        "/ask", page="/report", host="facebook.com", **{**LINES, "for": "recruitment-vetting"}
    )
    assert page.status_code == 422
    assert "apply for a job" in page.text


def roles(*names):
    from schoolgate_exceptions.roles import Role

    return [Role[name] for name in names]


def test_how_it_stands(live):
    """The code leads to how it stands, however it is typed; an unknown one says so."""
    browser = live.browser()
    code = ask(live, browser).url.path.rpartition("/")[2]
    page = browser.get("/requests", code=f" {code.lower().replace('-', '')} ")
    assert page.url.path == f"/requests/{code}"
    assert "It is waiting" in page.text
    assert browser.get("/requests", code="ZZ-ZZZ").status_code == 422
    assert browser.get("/requests/ZZ-ZZZ").status_code == 404


def test_question_and_answer_and_taking_back(live):
    """A question stands on the page of who asked, who can answer it and take the request back; nobody else can."""
    browser = live.browser()
    code = ask(live, browser).url.path.rpartition("/")[2]
    someone = officer(live)
    (request,) = live.school.service.queue.listed(someone)
    live.school.service.reviewing.ask_back(someone, request.id, "Which class?")
    page = browser.get(f"/requests/{code}")
    assert "Which class?" in page.text
    assert browser.post(f"/requests/{code}", answer=" ").status_code == 422
    assert browser.post(f"/requests/{code}", answer="Year 5").status_code == 200
    (request,) = live.school.service.queue.listed(someone)
    assert not request.waiting_for_answer
    taken = browser.post(f"/requests/{code}", withdraw="1")
    assert "You took it back" in taken.text
    assert browser.post(f"/requests/{code}", page="/report", withdraw="1").status_code == 409


def test_only_who_asked_can_take_it_back(live):
    """Somebody else who knows the code sees how it stands, but has no button, and a made-up form is refused."""
    request = live.school.ask()
    browser = live.browser()
    assert "Take it back" not in browser.get(f"/requests/{request.reference}").text
    assert browser.post(f"/requests/{request.reference}", page="/report", withdraw="1").status_code == 403


def test_reporting_a_page(live):
    """The same form the other way round, for a page that was not blocked."""
    browser = live.browser()
    wrong = browser.post("/report", host="", what="")
    assert wrong.status_code == 422
    assert 'href="#host"' in wrong.text
    assert 'href="#what"' in wrong.text
    sent = browser.post("/report", host="games.example/play", what="report", more="It scared me")
    assert sent.url.path.startswith("/sent/")
    (request,) = live.school.service.queue.listed(officer(live))
    assert (request.kind, request.host, request.reason) == ("report", "games.example", "It scared me")


def test_official_use_needs_all_of_it(live):
    """Official use is asked for by who is signed in, with objectives, outcomes, risks and an end, all of them."""
    assert live.browser().get("/official").url.path == "/sign-in"
    teacher = live.signed_in("teacher@school.example", *roles("TEACHER"))
    wrong = teacher.post("/official", host="facebook.com/school", reason="News")
    assert wrong.status_code == 422
    fields = {"objectives": "News", "outcomes": "Read", "risk_assessment": "Low", "ends": "2026-12-18"}
    for missing in fields:
        some = {name: value for name, value in fields.items() if name != missing}
        page = teacher.post("/official", host="facebook.com/school", reason="News", **some)
        assert f'href="#{missing}"' in page.text
    sent = teacher.post("/official", host="facebook.com/school", reason="News", **fields)
    assert sent.url.path.startswith("/sent/")
    assert "facebook.com" in teacher.get("/my-requests").text


NASTY = [
    "<script>alert(1)</script>",
    "\u202egnp.exe \u0000\u0007 \u200b",
    "'; DROP TABLE requests; --",
    "{{ 7 * 7 }} {% raw %}",
    "Z\u0351\u036b\u0343\u036a\u0302\u036b" * 20,
    "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
]


@pytest.mark.parametrize("words", NASTY)
def test_nasty_words_stay_words(live, words):
    """Scripts, control characters and right-to-left tricks are shown as harmless text wherever they turn up."""
    ask(live, live.browser(), reason=words)
    signed = live.signed_in("officer@school.example", *roles("OFFICER"))
    (request,) = live.school.service.queue.listed(
        next(a for a in live.school.service.accounts.listed()).actor(live.school.service.office.today())
    )
    for path in ("/queue", f"/queue/{request.id}", f"/requests/{request.reference}"):
        page = signed.get(path)
        assert page.status_code == 200
        assert "<script" not in page.text
        assert "\u202e" not in page.text
        assert "\u0000" not in page.text
        assert "49" not in page.text.partition("In their words")[2][:200]


def test_too_many_from_one_device(live):
    """A sixth open request of one device is turned away kindly, with 429 and when to come back."""
    browser = live.browser()
    for number in range(5):
        browser.post("/ask", page="/report", host=f"a{number}.instagram.com", **LINES)
    page = browser.post("/ask", page="/report", host="a9.instagram.com", **LINES)
    assert page.status_code == 429
    assert int(page.headers["Retry-After"]) > 0
    assert "A grown-up will look at them soon." in page.text


def test_a_locked_host_is_never_named(live):
    """A site on a locked list cannot be opened, and the queue does not show its name."""
    live.browser().post("/ask", page="/report", host="locked.example", **LINES)
    signed = live.signed_in("officer@school.example", *roles("OFFICER"))
    assert "locked.example" not in signed.get("/queue", show="all").text


def test_words_in_welsh(live):
    """The language is chosen by a link, kept, and taken from the browser where nothing was chosen."""
    browser = live.browser()
    page = browser.get("/ask", about=about(live), lang="cy")
    assert '<html lang="cy">' in page.text
    assert "Cwestiwn 1 o 3" in page.text
    assert "Poeni am rywbeth?" in browser.get("/help").text
    fresh = live.browser()
    assert (
        fresh.client.get("/help", headers={"Accept-Language": "cy-GB,en;q=0.5"}).headers["Content-Language"]
        == "cy"
    )


def test_the_database_is_away(live, monkeypatch):
    """When the database cannot be used the page says that nothing was saved, with 503, and sending again works."""
    from schoolgate_exceptions.errors import Unavailable

    asking = live.school.service.asking
    browser, original = live.browser(), type(asking).submit

    def broken(*_, **__):
        raise Unavailable("the database is locked")

    monkeypatch.setattr(type(asking), "submit", broken)
    page = ask(live, browser)
    assert page.status_code == 503
    assert "Nothing was changed" in page.text
    monkeypatch.setattr(type(asking), "submit", original)
    assert ask(live, browser).url.path.startswith("/sent/")
