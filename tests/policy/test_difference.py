"""What would change between two policies: exact, whole, and in few words."""

import random
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from policies import HEAD, LONDON, SHIPPED, local, policy_of

from schoolgate_policy.decision import Attempt
from schoolgate_policy.difference import Difference, difference
from schoolgate_policy.difference_text import as_lines, as_mapping
from schoolgate_policy.engine import Engine
from schoolgate_policy.load import load_policy
from schoolgate_policy.model import Policy
from schoolgate_policy.names import suffixes
from schoolgate_policy.schedule import Calendar, DateRange, Period, Schedule, Season
from schoolgate_policy.slots import DifferentZones, Slot
from schoolgate_policy.survey import Survey
from schoolgate_policy.times_in_words import Times, in_words

TODAY = date(2026, 11, 21)
PLAIN = "rules:\n  - {block: facebook, for: pupils, reason: no}\n"


def lines(old: str, new: str, today: date = TODAY, head: str = HEAD) -> list[str]:
    """Compare two policies of some lines."""
    one, other = policy_of(old, head), policy_of(new, head)
    return list(as_lines(difference(one, other, today), other))


def test_a_policy_does_not_differ_from_itself() -> None:
    """Nothing is reported where nothing changes."""
    assert lines(PLAIN, PLAIN) == []


def test_a_rule_added_is_one_line() -> None:
    """Who, what, how and when, and where both verdicts come from."""
    new = "rules:\n  - {block: facebook, for: [staff, pupils], during: lunch, reason: no}\n"
    times = "mon-fri 00:00-12:10, 13:10-24:00 in term; sat, sun all day in term; outside term"
    assert lines(PLAIN, new) == [
        f"pupils, addresses in no network (as pupils): Facebook: blocked → allowed, {times}",
        "    was by policy.yaml:19; becomes by policy.yaml:5",
        "staff: Facebook: allowed → blocked, mon-fri 12:10-13:10 in term",
        "    was by policy.yaml:4; becomes by policy.yaml:19",
    ]


def test_only_a_device_changes() -> None:
    """A rule for one device says nothing about its network."""
    (line, _) = lines("", "rules:\n  - {block: category:social-network, for: office-pc, reason: no}\n")
    assert line == "staff (office-pc): category:social-network, meta.example: allowed → blocked, at all times"


def test_a_page_exception_names_the_page() -> None:
    """A page that opens is named, with its days; the rest of the site stays as it was."""
    rule = "rules:\n  - {block: facebook, reason: no}\n"
    grant = (
        "exceptions:\n  - {id: R1, allow: facebook.com/ours, for: office-pc, from: 2026-11-23, "
        "until: 2026-12-18, during: lunch, reason: news}\n"
    )
    (line, _) = lines(rule, rule + grant)
    assert line == (
        "staff (office-pc): facebook.com/ours (to read): blocked → allowed, mon-fri 12:10-13:10 to 2026-12-18"
    )


def test_what_may_be_sent_to_a_page_is_named() -> None:
    """A method more or less is a change of its own; all that can be done with a page is just the page."""
    rule = "  - {block: facebook, for: staff, reason: no}\n"
    page = "rules:\n  - {allow: facebook.com/ours, for: staff, reason: yes%s}\n" + rule
    told = "staff: facebook.com/ours%s: %s, at all times"
    lists = {}
    for name, more in (
        ("read", ""),
        ("form", ", methods: [POST]"),
        ("edit", ", methods: [POST, PUT, PATCH, DELETE]"),
    ):
        lists[name] = page % more
    assert lines(lists["read"], lists["form"])[::2] == [
        told % (" (what is sent to it by POST)", "blocked → allowed")
    ]
    assert lines(lists["edit"], lists["read"])[::2] == [told % (" (what is sent to it)", "allowed → blocked")]
    first, *_ = lines(lists["read"], lists["edit"])
    assert first == told % (" (what is sent to it)", "blocked → allowed")
    open_page = f"always_allow: [facebook.com/ours]\nrules:\n{rule}"
    assert lines(f"rules:\n{rule}", open_page)[0].startswith("staff: facebook.com/ours: blocked → allowed")


def test_an_exception_that_ends_within_a_day() -> None:
    """Instants within a day are kept to the minute."""
    grant = "exceptions:\n  - {id: R1, allow: example.org, for: guests, from: 2026-11-23 09:15, until: 2026-11-24 10:30, reason: x}\n"
    (line, _) = lines("", grant)
    assert line == (
        "guests: example.org: blocked → allowed, on 2026-11-23 09:15-24:00; on 2026-11-24 00:00-10:30"
    )


def test_the_night_the_clocks_go_back() -> None:
    """On a night with an hour that comes twice, instants say which of the two is meant."""
    grant = "exceptions:\n  - {id: R1, allow: example.org, for: guests, from: 2026-10-25T00:45Z, until: 2026-10-25T01:15Z, reason: x}\n"
    old, new = policy_of(""), policy_of(grant)
    found = as_mapping(difference(old, new, date(2026, 10, 1)), new)
    assert found["changes"][0]["when"] == [
        {"from": "2026-10-25T01:45:00+01:00", "until": "2026-10-25T01:15:00+00:00"}
    ]


def test_lists_are_named_never_read_out() -> None:
    """A block list is spoken of by its name, a locked list too."""
    new = "lists: {games: {file: games.txt}}\nlocked: {iwf: {file: iwf.txt}}\nrules:\n  - {block: 'list:games', for: staff, reason: no}\n"
    text = "\n".join(lines("", new))
    assert "staff: list:games: allowed → blocked, at all times" in text
    assert "the sites on the locked list iwf: allowed → blocked" in text
    assert "locked.example" not in text


def test_everything_else() -> None:
    """A network's `otherwise` concerns every site that nothing speaks of."""
    head = HEAD.replace("inspection: needed, otherwise: allow", "inspection: needed, otherwise: block")
    old, new = policy_of("always_allow: [nspcc.org.uk]\n"), policy_of("always_allow: [nspcc.org.uk]\n", head)
    (change,) = as_mapping(difference(old, new, TODAY), new)["changes"]
    assert change["who"] == ["staff"]
    assert "every other site" in change["what"]
    assert "nspcc.org.uk" not in change["what"]


def test_addresses_that_move_between_networks() -> None:
    """A range that changes hands is named by both networks."""
    head = HEAD.replace("addresses: [10.30.0.0/16]", "addresses: [10.30.0.0/16, 10.20.9.0/24]")
    rules = "rules:\n  - {block: facebook, for: pupils, reason: no}\n  - {allow: facebook, for: guests, reason: yes}\n"
    old, new = policy_of(rules), policy_of(rules, head)
    found = as_mapping(difference(old, new, TODAY), new)["changes"]
    change = next(change for change in found if change["what"] == ["Facebook"])
    assert (change["who"], change["to"]) == (["pupils → guests"], "allow")


def test_a_state_is_compared_by_itself() -> None:
    """What changes only while a state is switched on says so."""
    state = "states:\n  incident:\n    about: x\n    rules:\n      - {block: twitter, reason: incident}\n"
    changed = state.replace("twitter", "[twitter, youtube]")
    (line, _) = lines(state, changed)
    assert line.startswith(
        "in state incident: staff, pupils, addresses in no network (as pupils): YouTube: allowed → blocked"
    )


def test_policies_in_two_zones_are_refused() -> None:
    """Wall clocks of two zones cannot be compared."""
    with pytest.raises(DifferentZones, match=r"Europe/London, Europe/Paris"):
        difference(policy_of(""), policy_of("", HEAD.replace("Europe/London", "Europe/Paris")), TODAY)


HOSTS = [
    "facebook.com",
    "m.facebook.com",
    "x.com",
    "youtube.com",
    "games.example",
    "example.org",
    "a.example.org",
    "other.test",
]
PATHS = [None, "/", "/ours", "/ours/news", "/other"]
ADDRESSES = ["10.10.0.5", "10.10.0.20", "10.20.0.5", "10.20.5.9", "10.30.0.1", "192.0.2.1"]
TARGETS = st.sampled_from(
    ["facebook", "twitter", "category:social-network", "category:video", "facebook.com/ours", "example.org", "a.example.org",
     "m.facebook.com", "list:games", "everything"]
)  # fmt: skip
WHOM = st.sampled_from(["", "for: staff, ", "for: pupils, ", "for: [pupils, office-pc], ", "for: room-5, "])
DURING = st.sampled_from(
    [
        "",
        "during: lessons, ",
        "during: not lunch, ",
        "during: night, ",
        "during: {at: 12:00-13:00, days: mon, in: holiday}, ",
    ]
)
DATES = st.sampled_from(
    [
        "from: 2026-11-23, until: 2026-12-18, ",
        "from: 2026-10-24 09:30, until: 2026-11-24 10:15, ",
        "until: 2026-10-25T00:30Z, ",
    ]
)


@st.composite
def bodies(draw: st.DrawFn) -> str:
    """Write rules and exceptions; pages only where connections are opened."""
    text = "lists: {games: {file: games.txt}}\n"
    for key, most in (("rules", 3), ("exceptions", 2)):
        items = []
        for number in range(draw(st.integers(0, most))):
            target, whom = draw(TARGETS), draw(WHOM)
            if "/" in target and not whom:
                whom = "for: staff, "
            dates = f"id: R{number}, {draw(DATES)}" if key == "exceptions" else ""
            verb = draw(st.sampled_from(["block", "allow"]))
            items.append(f'  - {{{dates}{verb}: "{target}", {whom}{draw(DURING)}reason: r{number}}}\n')
        text += f"{key}:\n{''.join(items)}" if items else ""
    return text


MOMENTS = st.one_of(
    st.datetimes(datetime(2026, 10, 20), datetime(2027, 1, 10)),
    st.datetimes(datetime(2026, 10, 24, 22), datetime(2026, 10, 25, 4)),
)


@given(bodies(), bodies(), st.lists(st.tuples(st.sampled_from(ADDRESSES), st.sampled_from(HOSTS), st.sampled_from(PATHS), MOMENTS), min_size=40, max_size=40))  # fmt: skip
@settings(max_examples=35, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_changes_is_reported_and_nothing_else(old: str, new: str, tries: list) -> None:
    """Any attempt's verdict differs if and only if a reported change covers it."""
    policies = policy_of(old), policy_of(new)
    engines = tuple(map(Engine, policies))
    found = difference(*policies, date(2026, 10, 20))
    survey = found.surveys[0][1]
    for address, host, path, naive in tries:
        network = policies[0].networks[engines[0].identify(address).network]
        raw = None if network.inspection == "names" else path  # pages are not seen there
        at = naive.replace(tzinfo=UTC)
        verdicts = [engine.decide(Attempt(address, host, at, raw)).verdict for engine in engines]
        covered = is_covered(found, survey, policies, address, host, raw, at)
        assert (verdicts[0] is not verdicts[1]) == covered, (address, host, raw, at)


def test_shipped_policies_of_two_schools() -> None:
    """With the whole catalogue, its shared names too, each of many attempts differs if and only if that is reported."""
    old, new = load_policy(SHIPPED), load_policy(SHIPPED.parent / "policy" / "examples" / "own-devices.yaml")
    found = difference(old, new, TODAY)
    survey = found.surveys[0][1]
    old, new = survey.engines[0].policy, survey.engines[1].policy
    services = old.catalogue.services.values()
    hosts = sorted({name for one in services for name in (*one.domains[:1], *one.shared_domains)})
    chance = random.Random(7)
    addresses = [group.address for group in survey.groups]
    differing = 0
    for _ in range(1500):
        address, host = chance.choice(addresses), chance.choice([*hosts, "other.test"])
        at = local("2026-11-21T00:00") + timedelta(minutes=chance.randrange(120 * 24 * 60))
        one, other = (engine.decide(Attempt(address, host, at)).verdict for engine in survey.engines)
        covered = is_covered(found, survey, (old, new), address, host, None, at)
        assert (one is not other) == covered, (address, host, at)
        differing += covered
    assert 100 < differing < 1400


def is_covered(
    found: Difference, survey: Survey, policies: tuple[Policy, ...], address: str, host: str, raw: str | None, at: datetime
) -> bool:  # fmt: skip
    """Whether a difference covers an attempt, both by its slots and by its words."""
    names = tuple(engine.identify(address) for engine in survey.engines)
    group = next(g for g in survey.groups if g.names == tuple((c.network, c.devices, c.known) for c in names))
    on = {name for name, hosts in policies[0].lists.items() if hosts.covers(host)}
    known = {
        name
        for part in suffixes(host)
        for name, hosts in policies[0].lists.items()
        if part != host and hosts.covers(part)
    }
    listed = any(site.lists for site in survey.sites.all)
    site = survey.sites.find(host, raw, frozenset(on - known) if listed else frozenset())
    assert site is not None
    slot = next(slot for slot in survey.times if holds(slot, at))
    usual = [change for change in found.changes if change.state is None]
    by_slot = any(change.covers(group, site, slot) for change in usual)
    by_words = any(
        group in change.groups
        and site in change.sites
        and any(says(times, at, policies[1].calendar) for times in change.times)
        for change in usual
    )
    assert by_slot == by_words
    return by_slot


def holds(slot: Slot, at: datetime) -> bool:
    """Whether an instant is in a slot."""
    if slot.stretch:
        return slot.stretch[0] <= at < slot.stretch[1]
    clock = at.astimezone(LONDON)
    return clock.date() in slot.days and slot.start <= clock.hour * 60 + clock.minute < slot.end


def says(times: Times, at: datetime, calendar: Calendar) -> bool:
    """Whether some words speak of an instant, read as a person reads them."""
    if times.stretch:
        return times.stretch[0] <= at < times.stretch[1]
    clock = at.astimezone(LONDON)
    day, minute = clock.date(), clock.hour * 60 + clock.minute
    return (
        day.weekday() in times.days
        and calendar.covers(times.season, day)
        and (times.first is None or times.first <= day)
        and (times.last is None or day <= times.last)
        and any(start <= minute < end for start, end in times.at)
    )


@given(st.sets(st.integers(0, 69)))
@example({0, 1, 9})
@example({0, 1, 37})
@settings(max_examples=200, deadline=None)
def test_days_are_said_exactly(wanted: set[int]) -> None:
    """Whatever days change, the words name these days and, for ever after, those like the last week."""
    terms = (
        DateRange("autumn", date(2026, 9, 2), date(2026, 12, 18)),
        DateRange("x", date(2027, 1, 4), date(2027, 1, 15)),
    )
    calendar = Calendar(LONDON, terms, (DateRange("INSET", date(2026, 12, 9), date(2026, 12, 9)),))
    days = [date(2026, 11, 30) + timedelta(days=number) for number in range(70)]
    wanted = {number for number in wanted if number < 56} | {n for n in range(56, 70) if n % 7 in wanted}
    slots = [Slot(local("2026-11-30T00:00"), (days[number],), 0, 1440) for number in wanted]
    told = in_words(slots, days, calendar)
    for number in range(84):
        at = local("2026-11-30T12:00") + timedelta(days=number)
        expected = number in wanted if number < 70 else number - 14 in wanted
        assert any(says(times, at, calendar) for times in told) == expected, number


def test_schedules_that_never_end_are_in_the_survey() -> None:
    """Slots tell apart each stretch in which a schedule changes."""
    survey = Survey((policy_of("rules:\n  - {block: facebook, during: lunch, reason: no}\n"),), TODAY)
    lunch = [slot for slot in survey.times if (slot.start, slot.end) == (12 * 60 + 10, 13 * 60 + 10)]
    schedule = Schedule("lunch", policy_of("").calendar, [Period(730, 790)], frozenset(range(5)), Season.TERM)
    assert {schedule.is_active(slot.at) for slot in lunch} == {True, False}
