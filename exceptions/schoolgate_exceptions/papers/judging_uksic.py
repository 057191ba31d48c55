"""Judges the points of the UK Safer Internet Centre by the facts. Pure; each function has the name of its point."""

from datetime import datetime

from schoolgate_exceptions.papers import saying, trying
from schoolgate_exceptions.papers.facts import Facts
from schoolgate_exceptions.papers.numbers import few
from schoolgate_exceptions.papers.standing import (
    ILLEGAL_IMAGES,
    TERRORIST,
    Judged,
    describe,
    illegal,
    met,
    not_met,
    not_ours,
)
from schoolgate_exceptions.roles import Role
from schoolgate_policy.limits import everywhere, limits, passed_unread
from schoolgate_policy.model import SEARCH_ENGINES, Inspection, People, Recorded

_SUPPLY = "get the list from a licensed provider, and name it under `locked:` in policy.yaml"
# What is asked for, and under which categories of the catalogue, or names or categories of lists, it may be found.
SUBJECTS: dict[str, frozenset[str]] = {
    "discrimination": frozenset({"discrimination", "hate"}),
    "drugs": frozenset({"drugs"}),
    "extremism": frozenset({"extremism", "terrorism", "radicalisation"}),
    "gambling": frozenset({"gambling"}),
    "hate": frozenset({"hate", "discrimination"}),
    "malware": frozenset({"malware", "phishing"}),
    "piracy": frozenset({"piracy", "warez"}),
    "pornography": frozenset({"pornography", "porn", "adult"}),
    "self-harm and suicide": frozenset({"self-harm", "suicide"}),
    "violence": frozenset({"violence"}),
    "weapons": frozenset({"weapons"}),
    "eating disorders": frozenset({"eating-disorders"}),
    "dating": frozenset({"dating"}),
    "social media": frozenset({"social-media"}),
}


def iwf_member(facts: Facts) -> Judged:
    """Judge IWF membership: free software cannot be the member, whoever supplies the list is."""
    whole, lists = illegal(facts, ILLEGAL_IMAGES)
    if not whole:
        return not_met(_SUPPLY, *lists)
    return not_ours("the member is whoever supplies the list: ask them for their confirmation", *lists)


def iwf_list(facts: Facts) -> Judged:
    """Judge the list of illegal images."""
    whole, lists = illegal(facts, ILLEGAL_IMAGES)
    if not whole:
        return not_met(_SUPPLY, *lists)
    unread = [one.id for one in trying.networks(facts) if one.inspection is Inspection.NAMES]
    note = (
        (f"on {saying.listed(unread)} whole sites are blocked, single pages cannot be told",)
        if unread
        else ()
    )
    return met(*lists, "judged first in every decision; its entries are in no log, page or report", *note)


def terrorist_list(facts: Facts) -> Judged:
    """Judge the list of terrorist content."""
    whole, lists = illegal(facts, TERRORIST)
    return met(*lists) if whole else not_met(_SUPPLY, *lists)


def cannot_be_switched_off(facts: Facts) -> Judged:
    """Judge whether the locked layer holds: only where both lists are there, filled and fresh."""
    images, terror = illegal(facts, ILLEGAL_IMAGES), illegal(facts, TERRORIST)
    every = illegal(facts)
    proof = tuple(dict.fromkeys((*images[1], *terror[1], *every[1])))
    if not (images[0] and terror[0] and every[0]):
        return not_met(f"a lock on an empty list holds nothing: {_SUPPLY}", *proof)
    return met(
        *proof,
        "locked lists are step 1 of every decision; no rule, exception, state or role comes before them",
    )


def categories(facts: Facts) -> Judged:
    """Judge the kinds of content: each must be blocked for all pupils, by the catalogue or by a list in use."""
    found, missing = [], []
    pupils = trying.networks(facts, People.PUPIL)
    for subject, names in SUBJECTS.items():
        lists = trying.lists_that_block(facts, names)
        known = [one for name in sorted(names) for one in trying.services(facts, name)]
        closed = bool(known and pupils) and not any(trying.open_ways(facts, known, pupils))
        if lists:
            found.append(f"{subject}: {', '.join(describe(facts, one) for one in lists)}")
        elif closed:
            found.append(
                f"{subject}: {len(known)} services of the catalogue, blocked on each network of pupils"
            )
        else:
            missing.append(subject)
    if missing:
        return not_met(
            "add lists for these under `lists:` with a category, and a rule that blocks it for pupils at all times",
            f"not blocked for pupils: {', '.join(missing)}", *found,
        )  # fmt: skip
    return met(*found)


def age_appropriate(facts: Facts) -> Judged:
    """Judge whether networks are treated differently."""
    every = trying.networks(facts)
    services = list(facts.policy.catalogue.services.values())
    reach = {one.id: {title for _, title in trying.open_ways(facts, services, [one])} for one in every}
    proof = [
        f"{name}: {len(services) - len(titles)} of {len(services)} services are blocked"
        for name, titles in reach.items()
    ]
    proof += [
        f"{one.id}: the youngest are {one.age}, services for older users stay closed"
        for one in every
        if one.age
    ]
    if len({frozenset(titles) for titles in reach.values()}) < 2:
        return not_met("give pupils and staff rules of their own (`for:` in a rule)", *proof)
    return met(*proof)


def control(facts: Facts) -> Judged:
    """Judge whether the school decides by itself."""
    asked = [one for one in facts.requests if one.decided_at is not None]
    proof = (
        f"policy {facts.policy.version} is in force, {saying.many(facts.versions, 'version')} kept",
        f"{saying.many(few(len(asked)), 'request')} decided in a year, {saying.many(len(facts.policy.exceptions), 'exception')} in the file now",
    )
    if not facts.roles.get(Role.OFFICER):
        return not_met("make an account for the e-safety officer: schoolgate users add", *proof)
    return met(*proof)


def filtering_policy(facts: Facts) -> Judged:
    """Judge whether reasons are told and over-blocking is looked for."""
    rules = facts.policy.rules
    silent = [one.source for one in rules if not one.reason.strip()]
    proof = (
        f"{len(rules) - len(silent)} of {len(rules)} rules say why; the reason is on the block page",
        f"catalogue of {facts.policy.catalogue.version}: each category has a definition, shown under Services",
    )
    if silent:
        return not_met(f"give a reason in {', '.join(silent)}", *proof)
    if not any(one.is_good for one in facts.checks):
        return not_met(
            "have a check made that looks for over-blocking: schoolgate probe",
            *proof,
            "no check was good lately",
        )
    return met(*proof, f"the last good check was on {saying.moment(_last_good(facts), facts.zone)}")


def _last_good(facts: Facts) -> datetime:
    return next(one.at for one in facts.checks if one.is_good)


def identification(facts: Facts) -> Judged:
    """Judge whether persons are known: they are not, devices are."""
    named = sum(
        all(part.num_addresses == 1 for part in one.addresses) for one in facts.policy.devices.values()
    )
    return not_met(
        "find who used a device in the records of DHCP, Wi-Fi or sign-on; name personal machines under `devices:`",
        f"devices are known by address and network; {saying.many(named, 'machine')} named in the policy",
        "each event says how sure it is whose device that is; nobody signs in to the filter",
    )


def apps(facts: Facts) -> Judged:
    """Judge whether apps are filtered: their names are, on every network."""
    catalogue = facts.policy.catalogue
    domains = sum(len(one.domains) for one in catalogue.services.values())
    proof = (
        f"{len(catalogue.services)} services with {domains:,} names, those of their apps among them (data of {catalogue.version})",
        *passed_unread(facts.policy),
    )
    opened = [one.id for one in trying.networks(facts) if one.inspection is not Inspection.NAMES]
    roots = [one for one in facts.roots if one.ends > facts.now]
    proof += tuple(f"certificate {one.name} until {saying.day(one.ends.date())}" for one in roots)
    if opened and not roots:
        return not_met(
            "make the certificate authority: schoolgate ca init",
            *proof,
            f"no certificate that holds, though {', '.join(opened)} need one",
        )
    stopped = [one.name for one in facts.parts if one.problem]
    if stopped or not facts.parts:
        return not_met(
            "start what does not run: schoolgate doctor",
            *proof,
            f"not ready: {', '.join(stopped) or 'nothing could be asked'}",
        )
    return met(*proof)


def languages(facts: Facts) -> Judged:
    """Judge the languages of pages and names."""
    first = facts.policy.school.language or "as the browser likes"
    return met(
        f"block page, forms and letters in English and Welsh; first: {first}",
        "names in other scripts are compared in one spelling (UTS 46)",
    )


def network_level(facts: Facts) -> Judged:
    """Judge whether all traffic comes through here: interfaces, and a firewall that is loaded."""
    outside = [one.id for one in trying.networks(facts) if one.id not in facts.interfaces]
    proof = [f"networks with an interface: {', '.join(sorted(facts.interfaces)) or 'none'}"]
    if facts.firewall.loaded:
        proof.append(f"the firewall is loaded and has refused {facts.firewall.refused:,} packets")
    else:
        proof.append(f"the firewall is not known to be loaded: {facts.firewall.problem}")
    if outside or not facts.firewall.loaded:
        missing = f"; without one: {', '.join(outside)}" if outside else ""
        return not_met(
            f"name interfaces in schoolgate.toml and load the firewall: schoolgate firewall --apply{missing}",
            *proof,
        )
    return met(*proof)


def reporting_mechanism(facts: Facts) -> Judged:
    """Judge whether reports come to somebody."""
    proof = f"{saying.many(few(len(facts.requests)), 'request or report', 'requests or reports')} in a year, from the block page or the portal"
    if not facts.roles.get(Role.OFFICER) or not facts.roles.get(Role.HEAD):
        return not_met(
            "make accounts for the e-safety officer and the headteacher: schoolgate users add", proof
        )
    return met(proof)


def reports(facts: Facts) -> Judged:
    """Judge whether there is a history of sites."""
    if facts.policy.privacy.record is Recorded.EVERYTHING:
        return met("every visit is recorded with its device (privacy.record: everything)")
    return not_met(
        "this is a choice: with `record: everything` under `privacy:` allowed visits are recorded too; assess it first",
        "blocked visits and attempts are recorded with a pseudonym of the device; allowed visits are only counted",
    )


def log_retention(facts: Facts) -> Judged:
    """Judge whether periods are told and kept."""
    privacy = facts.policy.privacy
    proof = (
        f"events {saying.period(privacy.keep_events)}, counts {saying.period(privacy.keep_counts)}",
        f"requests {saying.period(privacy.keep_requests)}, audit {saying.period(privacy.keep_audit)}",
        f"last deletion: {saying.moment(facts.purged_at, facts.zone) if facts.purged_at else 'none was needed yet'}",
    )
    late = facts.overdue()
    if late:
        return not_met("have it deleted: schoolgate purge", *proof, f"too old: {', '.join(late)}")
    return met(*proof, f"nothing older is left in {len(facts.kept)} kinds of records")


def circumvention(facts: Facts) -> Judged:
    """Judge whether what is made for going round the filter is closed on every network."""
    known = trying.services(facts, "circumvention")
    ways = list(trying.open_ways(facts, known, trying.networks(facts)))
    seen = "each attempt is counted by its way, on the page Attempts and in the metrics"
    tried = f"{len(known)} VPNs, proxies, hidden resolvers and relays tried on {saying.many(len(facts.policy.networks), 'network')}"
    if not known or ways:
        names = sorted({f"{title} on {network}" for network, title in ways})
        return not_met(
            "block category:circumvention for every network",
            tried,
            f"open: {', '.join(names[:8]) or 'unknown'}",
            seen,
        )
    if not facts.firewall.loaded:
        return not_met(
            "load the firewall, which stops what is no web: schoolgate firewall --apply",
            f"{tried}: all blocked",
            seen,
        )
    return met(
        f"{tried}: all blocked, now and in the lessons of a week",
        f"the firewall has refused {facts.firewall.refused:,} packets",
        seen,
    )


def real_time(_facts: Facts) -> Judged:
    """Judge live analysis: there is none, and that is said."""
    return not_ours(
        "filtering is by address: no text, picture or film is analysed as it is shown; the page Limits says so"
    )


def limitations(facts: Facts) -> Judged:
    """Judge openness: the page of limits is made from this policy."""
    count = len(limits(facts.policy)) + len(everywhere(facts.policy)) + len(passed_unread(facts.policy))
    return met(f"{count} limits are told on the page Limits, made from policy {facts.policy.version}")


def ai_tools(facts: Facts) -> Judged:
    """Judge AI chat: a rule must speak of it for pupils."""
    known = trying.services(facts, "ai-chat")
    proof = f"{len(known)} AI services in the catalogue"
    if not trying.is_ruled(facts, "ai-chat"):
        return not_met(
            "decide on category:ai-chat for pupils with a rule",
            proof,
            "no rule decides on all of them for pupils",
        )
    return met(proof, "a rule decides on each of them for pupils")


def safe_search(facts: Facts) -> Judged:
    """Judge filtered search on the networks of pupils."""
    pupils = trying.networks(facts, People.PUPIL)
    missing = [
        f"{one.id}: {', '.join(left)}"
        for one in pupils
        if (left := [n for n in SEARCH_ENGINES if n not in one.safe_search])
    ]
    proof = [f"{one.id}: {', '.join(one.safe_search) or 'none'}" for one in pupils]
    if missing or not pupils:
        return not_met(
            "set `safe_search: strict` on the networks of pupils",
            *(f"not filtered on {text}" for text in missing),
        )
    return met(*proof)


def deployment(facts: Facts) -> Judged:
    """Judge the way it is put in: parts that run, networks that it stands before, and where connections are opened."""
    opened = [f"{one.id}: {one.inspection}" for one in trying.networks(facts)]
    up = [one.name for one in facts.parts if not one.problem]
    proof = f"on the school's network, for devices of any make: DNS, proxy and firewall; running: {', '.join(up) or 'none'}"
    what = f"opened connections by network ({', '.join(opened)}) need the school's certificate on devices (docs/network.md)"
    return met(proof, what) if up else not_met("start it: schoolgate run, or its units", proof, what)


def contextual(_facts: Facts) -> Judged:
    """Judge reading what stands in pages: none is, and that is said."""
    return not_ours(
        "sites and pages are judged by their address, by kind and by what a web proxy's files give away; text is not read"
    )


def multi_site(facts: Facts) -> Judged:
    """Judge several sites."""
    calendars = len(facts.policy.calendars)
    if not calendars:
        return not_ours(
            "this policy is one school's; one policy can hold several schools' networks and calendars"
        )
    return met(
        f"{len(facts.policy.networks)} networks and {saying.many(calendars, 'further calendar')} in one policy"
    )


def remote_devices(_facts: Facts) -> Judged:
    """Judge remote devices: this box is at the school's edge."""
    return not_ours(
        "this box filters the school's network only; devices elsewhere need something on themselves"
    )


def accreditation(_facts: Facts) -> Judged:
    """Judge accreditation: it is given to a provider, for a year."""
    return not_ours(
        "whoever hosts this for schools can apply; this page is meant as a part of what they hand in"
    )
