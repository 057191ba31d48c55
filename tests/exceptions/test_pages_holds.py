"""Held cases: the data protection officer keeps a case, and lets it go, without seeing what was asked."""

from dataclasses import replace

from schoolgate_exceptions.roles import Role


def test_the_data_protection_officer_holds_a_case(live):
    """By its number and with a reason; nothing of the case is on the page, and the case itself stays shut."""
    name = live.school.ask(reason="Volcanoes").id
    officer = live.signed_in("dpo@school.example", Role.DPO)
    assert officer.get(f"/queue/{name}").status_code == 403
    assert 'href="/holds"' in officer.get("/more").text
    assert "No case is held" in officer.get("/holds").text
    assert officer.submit("/holds", id=name, reason="").status_code == 422
    assert officer.submit("/holds", id="REQ-1999-0001", reason="complaint 4").status_code == 422
    page = officer.submit("/holds", id=name, reason="complaint 4")
    assert name in page.text
    assert "complaint 4" in page.text
    assert "Volcanoes" not in page.text
    assert "blocked.example" not in page.text
    assert "No case is held" in officer.submit("/holds", id=name, do="release").text
    teacher = live.signed_in("t@school.example", Role.TEACHER)
    assert teacher.get("/holds").status_code == 403


def test_the_queue_is_narrowed_to_what_worries_and_says_when_it_is_cut(live, monkeypatch):
    """The tick box sends the filter it stands for; a list that is cut says how many there are in all."""
    live.school.ask(reason="Volcanoes")
    live.school.ask("other.example", address="10.20.0.9", reason="I want to die")
    officer = live.signed_in("officer@school.example", Role.OFFICER)
    page = officer.get("/queue").text
    assert '<input type="checkbox" name="concern" value="1">' in page
    narrowed = officer.get("/queue", concern="1").text
    assert "other.example" in narrowed
    assert ">blocked.example<" not in narrowed
    assert "These are the oldest" not in page
    listed = live.school.service.queue.listed
    monkeypatch.setattr(
        live.school.service.queue, "listed", lambda actor, wanted: listed(actor, replace(wanted, most=1))
    )
    assert "These are the oldest 1." in officer.get("/queue").text
