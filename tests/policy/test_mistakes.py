"""What happens to an officer who slips: one line a mistake, with its place and what is right."""

from pathlib import Path

import pytest
from policies import HEAD, problems_of

# Each row: what is wrong, how the usual policy is changed (old, new) or what is added below it, what must be said.
MISTAKES = [
    ("a tab", "rules:\n\t- {block: facebook, reason: x}\n", "19:1: a tab cannot indent; use spaces"),
    ("no YAML", "rules: [\n", "not readable as YAML"),
    ("a key twice", "unknown_clients: staff\n", "18:1: unknown_clients: the key stands here a second time (first: line 7)"),
    ("unknown key", "rulez: []\n", "18:1: rulez: unknown key `rulez`; did you mean `rules`? available:"),
    ("unknown key in a rule", "rules: [{block: facebook, reason: x, during_: lessons}]\n", "did you mean `during`?"),
    ("version", ("version: 1", "version: 3"), "1:10: version: version 3 of the policy language is not known"),
    ("no version", ("version: 1\n", ""), "version: this key is missing"),
    ("no name", ("name: Test School, ", ""), "school.name: this key is missing"),
    ("no networks", ("networks:", "nets:"), "networks: this key is missing"),
    ("time zone", ("Europe/London", "Europe/Londn"), "2:39: school.timezone: unknown time zone `Europe/Londn`"),
    ("nation", ("bank_holidays: england", "bank_holidays: engeland"), "did you mean `england`? available: england, none"),
    ("people", ("people: pupil", "people: pupils"), "did you mean `pupil`? available: guest, pupil, staff"),
    ("inspection", ("inspection: all", "inspection: full"), "the text `full` is not possible here; available: all"),
    ("otherwise", ("inspection: all, otherwise: allow", "inspection: all, otherwise: permit"), "available: allow, block"),
    ("vlan text", ("vlan: 20", 'vlan: "20"'), "a whole number is expected here, not the text `20`"),
    ("vlan yes", ("vlan: 20", "vlan: true"), "a whole number is expected here, not yes or no"),
    ("vlan 5000", ("vlan: 20", "vlan: 5000"), "5000 is no VLAN number; they go from 1 to 4094"),
    ("address", ("10.20.0.0/16,", "10.20.0/16,"), "`10.20.0/16` is no address and no range such as"),
    ("host bits", ("10.20.0.0/16,", "10.20.0.1/16,"), "did you mean `10.20.0.0/16`?"),
    ("networks overlap", ("[10.30.0.0/16]", "[10.20.0.0/16]"), "6:49: networks.guests.addresses[0]: `10.20.0.0/16` belongs to `pupils` already (policy.yaml:5)"),
    ("no addresses", ("[10.30.0.0/16]", "[]"), "the list is empty; name at least one"),
    ("unknown clients", ("unknown_clients: pupils", "unknown_clients: pupil"), "did you mean `pupils`? available: guests, pupils, staff"),
    ("device is a network", ("office-pc:", "staff:"), "9:3: devices.staff: `staff` is the name of a network already"),
    ("device name", ("office-pc:", "Office PC:"), "`Office PC` is no name; use lower-case letters"),
    ("term backwards", ("from: 2026-09-02, to: 2026-12-18", "from: 2026-12-18, to: 2026-09-02"), "ends (2026-09-02) before it begins (2026-12-18)"),
    ("terms overlap", ("from: 2027-01-04", "from: 2026-12-01"), "overlaps with `autumn`, which runs until 2026-12-18"),
    ("no such day", ("to: 2026-12-18", "to: 2026-02-30"), "`2026-02-30` is no date"),
    ("day and range", ("{name: half term, from: 2026-10-26,", "{name: half term, on: 2026-10-26, from: 2026-10-26,"), "needs `from` and `to`, or `on` for a single day"),
    ("25:00", ('"12:10-13:10"', '"12:10-25:00"'), "`25:00` is no time of day; the last is 24:00"),
    ("12:60", ('"12:10-13:10"', '"12:60-13:10"'), "`12:60` is no time of day; the last is 23:59"),
    ("9:00", ('"12:10-13:10"', '"9:00-13:10"'), "`9:00` is no time of day such as 08:50"),
    ("no stretch", ('"12:10-13:10"', '"12:10"'), "`12:10` is no stretch of time such as 08:50-10:30"),
    ("empty stretch", ('"12:10-13:10"', '"12:10-12:10"'), "a whole day is 00:00-24:00"),
    ("weekday", ("{days: mon-fri, at: [\"12:10", "{days: mo-fri, at: [\"12:10"), "`mo` is no weekday; available: mon, tue"),
    ("season", ('"13:10-15:15"], in: term', '"13:10-15:15"], in: terms'), "did you mean `term`? available: always, holiday, term"),
    ("term without terms", ("terms: [", "closed_: ["), "unknown key `closed_`; did you mean `closed`?"),
    ("unknown service", "rules: [{block: instagrm, reason: x}]\n", "rules[0].block: unknown service `instagrm`"),
    ("close service", "rules: [{block: [facebok], reason: x}]\n", "18:18: rules[0].block[0]: unknown service `facebok`; did you mean `facebook`?"),
    ("service by category", "rules: [{block: video, reason: x}]\n", "it is a category: write `category:video`"),
    ("unknown category", "rules: [{block: category:social, reason: x}]\n", "unknown category `social`; available:"),
    ("unknown list", "rules: [{block: 'list:game', reason: x}]\nlists: {games: {file: games.txt}}\n", "unknown list `game`; did you mean `games`?"),
    ("unknown network", "rules: [{block: facebook, for: pupil, reason: x}]\n", "unknown network or device `pupil`; did you mean `pupils`?"),
    ("unknown schedule", "rules: [{block: facebook, during: lesson, reason: x}]\n", "unknown schedule `lesson`; did you mean `lessons`? available: lessons, lunch, night"),
    ("no reason", "rules: [{block: facebook}]\n", "18:9: rules[0].reason: this key is missing"),
    ("empty reason", "rules: [{block: facebook, reason: ''}]\n", "some words are needed here"),
    ("no verb", "rules: [{reason: x}]\n", "needs exactly one of `block` and `allow`"),
    ("both verbs", "rules: [{block: facebook, allow: twitter, reason: x}]\n", "needs exactly one of `block` and `allow`"),
    ("nothing blocked", "rules: [{block: [], reason: x}]\n", "the list is empty; name at least one"),
    ("a URL", "rules: [{block: 'https://facebook.com/', reason: x}]\n", "write the name without https://"),
    ("a wildcard", "rules: [{block: '*.facebook.com', reason: x}]\n", "write `facebook.com`; a name covers all below it"),
    ("no host", "rules: [{block: 'face book.com', reason: x}]\n", "'face book.com' is not a host name"),
    ("a public suffix", "rules: [{block: co.uk, reason: x}]\n", "`co.uk` is no single site"),
    ("a page unseen", "rules: [{block: example.org/x, for: guests, reason: x}]\n", "on guests only names are seen (`inspection: names`); say `for:` one of pupils, staff"),
    ("a page for all", "rules: [{block: example.org/x, reason: x}]\n", "on guests only names are seen"),
    ("rules no list", "rules: {block: facebook}\n", "a list is expected here, not a group of keys"),
    ("rule is text", "rules: [block facebook]\n", "a group of keys is expected here, not the text `block facebook`"),
    ("everything allowed", "always_allow: [everything]\n", "`everything` would switch the filter off"),
    ("no end", "exceptions: [{id: R1, allow: facebook, reason: x}]\n", "exceptions[0].until: this key is missing"),
    ("ends first", "exceptions: [{id: R1, allow: facebook, from: 2026-12-01, until: 2026-11-01, reason: x}]\n", "the exception ends before it begins"),
    ("until when", "exceptions: [{id: R1, allow: facebook, until: Friday, reason: x}]\n", "`Friday` is no date such as 2026-11-23"),
    ("id twice", "exceptions:\n- {id: R1, allow: facebook, until: 2026-11-01, reason: x}\n- {id: R1, allow: twitter, until: 2026-11-01, reason: x}\n", "`R1` stands at policy.yaml:19 already"),
    ("never", "limits: {never: category:circumvention}\nexceptions: [{id: R1, allow: dns.google, until: 2026-12-01, reason: x}]\n", "`dns.google` may not be opened: `limits.never` names `category:circumvention`"),
    ("how long", "limits: {longest_exception: 90d}\n", "`90d` is no length of time such as 30 days; units: minute, hour"),
    ("list missing", "lists: {games: {file: gone.txt}}\n", "`gone.txt` cannot be read: No such file or directory"),
    ("locked missing", "locked: {iwf: {file: gone.txt}}\n", "locked.iwf.file: `gone.txt` cannot be read"),
    ("own service", "services: {ourchat: {domains: [chat.example]}}\n", "a new service needs a `category`"),
    ("own category", "services: {ourchat: {category: chat, domains: chat.example}}\n", "unknown category `chat`; available:"),
    ("without", "services: {facebook: {without: fb.com}}\n", "`fb.com` is no domain of it; available: facebook.com, fbcdn.net"),
    ("tag", "rules: !!python/object:os.system []\n", "the tag `tag:yaml.org,2002:python/object:os.system` is not used here"),
    ("two documents", "---\nversion: 1\n", "the file holds more than one document (`---`)"),
    ("unknown alias", "rules: *rules\n", "unknown alias"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "says"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES])
def test_each_mistake_is_one_clear_line(change: str | tuple[str, str], says: str) -> None:
    """A mistake is reported in one line with file, line and column, and says what is possible instead."""
    text = HEAD + change if isinstance(change, str) else HEAD.replace(*change)
    assert text != HEAD
    problems = problems_of(text)
    assert any(says in line for line in problems), problems
    assert all(line.startswith("policy.yaml:") and "\n" not in line for line in problems)
    assert len(problems) <= 3, problems


def test_all_mistakes_come_at_once_in_the_order_of_the_file() -> None:
    """Structural and semantic mistakes are found in one run, whichever section is broken."""
    text = HEAD.replace("people: pupil", "people: pupl").replace("Europe/London", "Mars") + (
        "rules:\n"
        "  - {block: facebok, reason: x}\n"
        "  - {blok: twitter, reason: x}\n"
        "  - {block: twitter, for: nobody, during: lesson, reason: x}\n"
    )
    problems = problems_of(text)
    lines = [int(line.split(":")[1]) for line in problems]
    assert lines == sorted(lines)
    for words in ("Mars", "pupl", "facebok", "blok", "nobody", "lesson"):
        assert any(words in line for line in problems), (words, problems)
    assert "policy.yaml:21" in "\n".join(problems)


def test_a_broken_network_is_not_reported_where_it_is_used() -> None:
    """One mistake, one line: names of broken entries still count as known."""
    text = (
        HEAD.replace("people: pupil", "people: pupl") + "rules: [{block: facebook, for: pupils, reason: x}]\n"
    )
    assert len(problems_of(text)) == 1


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the file is empty"),
        (b"# only a comment\n", "the file is empty"),
        (b"- a\n- b\n", "a policy is a list of keys and values, not a list"),
        (b"hello", "not the text `hello`"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "this is not UTF-8 text"),
        (b"version: 1\n\x00", "a character YAML does not allow"),
        (b"a: " + b"[" * 5000 + b"]" * 5000, "levels"),
        (b"a: " + b"[" * 200_000, "nested deeper than 64 levels"),
        (b"- " * 200_000, "nested deeper than 64 levels"),
        (b"x: y\n" * 2_000_000, "the file has 10000000 bytes"),
    ],
    ids=["empty", "comment", "list", "text", "binary", "nul", "deep", "abyss", "stairs", "huge"],
)
def test_what_is_no_policy_at_all(data: bytes, says: str) -> None:
    """A file of another kind is named as such, quickly."""
    from policies import CATALOGUE, lists

    from schoolgate_policy.load import parse_policy

    policy, issues = parse_policy(data, "policy.yaml", CATALOGUE, lists)
    assert policy is None
    assert len(issues) == 1
    assert says in str(issues[0])


def test_anchors_that_explode_are_refused() -> None:
    """Nested aliases cannot use up memory or time."""
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
    )
    problems = problems_of(bomb)
    assert any("more than 400000 values" in line for line in problems)


def test_anchors_that_do_not_explode_are_fine() -> None:
    """An officer may write a list once and use it twice."""
    body = "rules:\n- {block: &all [facebook, twitter], for: pupils, reason: x}\n- {block: *all, for: staff, reason: y}\n"
    assert problems_of(HEAD + body) == []


def test_yaml_is_read_as_version_1_2() -> None:
    """Unquoted times, `on` and `NO` are text, as editors read them."""
    body = "schedules2: 1\n"
    assert problems_of(HEAD + body)
    text = HEAD.replace('["12:10-13:10"]', "[12:10-13:10]").replace("Test School", "NO")
    assert problems_of(text) == []


def test_ten_thousand_rules_are_only_many() -> None:
    """A very long policy costs in proportion: it is read, and its last rule decides."""
    from datetime import UTC, datetime

    from policies import policy_of

    from schoolgate_policy.decision import Attempt
    from schoolgate_policy.engine import Engine

    body = "rules:\n" + "".join(
        f"  - {{block: site{n}.example.org, for: pupils, reason: r{n}}}\n" for n in range(10_000)
    )
    engine = Engine(policy_of(body))
    attempt = Attempt("10.20.0.5", "www.site9999.example.org", datetime(2026, 11, 23, tzinfo=UTC))
    assert engine.decide(attempt).rule == 9_999


def test_a_link_to_itself_is_one_line(tmp_path: Path) -> None:
    """A policy that is a circle of links cannot be read, and that is all."""
    from schoolgate_policy.load import check_policy

    path = tmp_path / "policy.yaml"
    path.symlink_to(path)
    policy, issues = check_policy(path)
    assert policy is None
    assert str(issues[0]).endswith("cannot be read: Too many levels of symbolic links")
