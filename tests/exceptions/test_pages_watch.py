"""The pages about attempts, devices and what the filter did: who sees what, and that a look is noted."""

import pytest
from live_portal import LivePortal
from school import MONDAY, PUPIL, STAFF, School

from schoolgate_exceptions.roles import Role
from schoolgate_policy.event import Sighting, Visit

AT = MONDAY.timestamp()
BURST = ("vpn", "tor", "doh")


@pytest.fixture
def busy(live: LivePortal) -> LivePortal:
    """A portal of a school in which a pupil and a member of staff have tried something."""
    log = live.school.service.log
    log.take([Sighting(AT - 60 + n, "dns", "", PUPIL, "x.example", one) for n, one in enumerate(BURST)])
    log.take([Sighting(AT - 60 + n, "dns", "", STAFF, "x.example", one) for n, one in enumerate(BURST)])
    log.take([Visit(AT, "dns", "pupils", PUPIL, "www.instagram.com", "block", "rule", "policy.yaml:20", "instagram", "social-network", 9)])  # fmt: skip
    log.flush()
    return live


def device(school: School, address: str = PUPIL) -> str:
    return school.service.devices.pseudonym(address)


def test_the_lead_sees_pupils_and_the_officer_all(busy: LivePortal) -> None:
    """Alerts and devices of staff are not for a safeguarding lead; no page has an address."""
    lead = busy.signed_in("dsl@school.example", Role.DSL).get("/attempts").text
    officer = busy.signed_in("officer@school.example", Role.OFFICER).get("/attempts").text
    for text, staff in ((lead, False), (officer, True)):
        assert f"Device {device(busy.school)[:6].upper()}" in text
        assert (f"Device {device(busy.school, STAFF)[:6].upper()}" in text) is staff
        assert "VPN service" in text
        assert PUPIL not in text


def test_a_governor_sees_counts_only(busy: LivePortal) -> None:
    """What the filter did names no device; the page of attempts is not for governors."""
    governor = busy.signed_in("governor@school.example", Role.GOVERNOR)
    assert governor.get("/attempts").status_code == 403
    page = governor.get("/activity")
    assert page.status_code == 200
    assert "Instagram" in page.text
    where = page.text.partition("Was it blocked at the name")[2].partition("</section>")[0]
    assert '<th scope="row" class="short">DNS</th><td>9</td>' in where
    assert "What was let through, and why?" in page.text
    assert device(busy.school)[:6].upper() not in page.text
    assert page.text.count('<svg class="chart"') == page.text.count('<table class="numbers"') > 3


def test_an_alert_is_seen_to(busy: LivePortal) -> None:
    """Who presses the button takes it off everybody's list."""
    lead = busy.signed_in("dsl@school.example", Role.DSL)
    assert "Somebody should look at this" in lead.get("/attempts").text
    number = next(
        one.number for one in busy.school.service.alerting.listed(lead_of(busy)) if not one.is_staff
    )
    page = lead.submit("/attempts", number=number, note="spoken with the class teacher")
    assert "Nobody else will be told" in page.text
    assert "spoken with the class teacher" in page.text
    assert "Somebody should look at this" not in page.text


def test_a_device_is_shown_for_a_reason(busy: LivePortal) -> None:
    """Without a reason nothing is shown; with one the address is, and the audit has both."""
    lead = busy.signed_in("dsl@school.example", Role.DSL)
    path = f"/attempts/{device(busy.school)}"
    assert lead.post(path, page="/attempts").status_code == 422
    page = lead.post(path, page="/attempts", reason="concern of the class teacher")
    assert page.status_code == 200
    assert PUPIL in page.text
    assert "www.instagram.com" in page.text
    held = lead.post(path, page="/attempts", reason="police case", do="hold")
    assert "held for a case" in held.text
    assert (
        lead.post(f"/attempts/{device(busy.school, STAFF)}", page="/attempts", reason="curious").status_code
        == 403
    )
    staff = f"/attempts/{device(busy.school, STAFF)}"
    head = busy.signed_in("head@school.example", Role.HEAD)
    assert head.post(staff, page="/attempts", reason="a case of staff", do="hold").status_code == 200
    assert lead.post(staff, page="/attempts", reason="let it go", do="release").status_code == 403
    assert "held for a case" in head.post(staff, page="/attempts", reason="a case of staff").text
    assert lead.post("/attempts/0000", page="/attempts", reason="curious").status_code == 404
    with busy.school.service.office.read() as connection:
        entries = list(busy.school.service.office.audit.entries(connection, subject=device(busy.school)))
    assert [one.action for one in entries] == ["device.identified", "device.held", "device.identified"]
    assert entries[0].details == {"reason": "concern of the class teacher"}


def test_the_pages_speak_welsh(busy: LivePortal) -> None:
    """In Welsh the questions, the techniques and the buttons are Welsh."""
    officer = busy.signed_in("officer@school.example", Role.OFFICER)
    text = officer.get("/attempts", lang="cy").text
    assert "Gwasanaeth VPN" in text
    assert "Byddaf yn delio ag ef" in text
    assert "Yr hyn a wnaeth yr hidlydd" in officer.get("/activity", lang="cy").text


@pytest.mark.parametrize("query", ["days=1", "days=30", "days=9999", "days=x&network=nowhere", "network=pupils", "technique=vpn"])  # fmt: skip
def test_the_time_and_network_are_chosen(busy: LivePortal, query: str) -> None:
    """Whatever stands in the address, the page is shown."""
    officer = busy.signed_in("officer@school.example", Role.OFFICER)
    for path in ("/attempts", "/activity"):
        assert officer.get(f"{path}?{query}").status_code == 200


def test_from_a_technique_to_its_devices(busy: LivePortal) -> None:
    """A technique leads to its days, its moments and its devices; time and network keep it; a lead sees no staff."""
    officer = busy.signed_in("officer@school.example", Role.OFFICER)
    page = officer.get("/attempts").text
    assert 'href="/attempts?days=7&amp;technique=vpn#devices"' in page
    only = officer.get("/attempts?technique=vpn").text
    assert "On which days was it tried: VPN service?" in only
    assert "When it was tried" in only
    assert 'href="/attempts?days=30&amp;technique=vpn"' in only
    assert 'href="/attempts?days=7&amp;network=pupils&amp;technique=vpn"' in only
    assert device(busy.school, STAFF)[:6].upper() in only
    moments = only.partition("When it was tried")[2].partition('id="devices"')[0]
    assert moments.count("<tr>") == 3
    assert PUPIL not in only
    lead = busy.signed_in("dsl@school.example", Role.DSL)
    hidden = lead.get("/attempts?technique=vpn").text.partition("When it was tried")[2]
    assert device(busy.school, STAFF)[:6].upper() not in hidden
    assert "nonsense" not in officer.get("/attempts?technique=nonsense").text.partition("<footer")[0]


def test_a_teacher_pauses_a_sanction(busy: LivePortal) -> None:
    """A teacher picks the device and says what for; it is let go until the bell, and back again."""
    school = busy.school
    head = school.person("head@school.example", Role.HEAD)
    teacher = busy.signed_in("teacher@school.example", Role.TEACHER)
    assert "No device is under supervision" in teacher.get("/sanctions/pause").text
    school.service.sanctioning.impose(head, PUPIL, school.clock.at.replace(day=30), "Went round the filter")
    page = teacher.get("/sanctions/pause").text
    assert PUPIL in page
    assert "Went round" not in page
    assert teacher.submit("/sanctions/pause", address=PUPIL).status_code == 422
    assert "let go until" in teacher.submit("/sanctions/pause", address=PUPIL, reason="Test").text
    assert "under supervision again" in teacher.submit("/sanctions/pause", address=PUPIL, do="end").text


def lead_of(live: LivePortal):
    """Return the safeguarding lead as one who acts."""
    account = next(one for one in live.school.service.accounts.listed() if one.email == "dsl@school.example")
    return account.actor(live.school.service.office.today())
