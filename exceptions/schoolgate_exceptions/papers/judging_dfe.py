"""Judges the points of the DfE's standards, KCSIE, Prevent and data protection. Pure; names are those of the points."""

from datetime import timedelta

from schoolgate_exceptions.papers import judging_uksic as uksic
from schoolgate_exceptions.papers import risks, saying, trying
from schoolgate_exceptions.papers.facts import LOOK_BACK, Facts
from schoolgate_exceptions.papers.numbers import few
from schoolgate_exceptions.papers.standing import Judged, met, not_met, not_ours
from schoolgate_exceptions.roles import Role
from schoolgate_policy.model import People

_NEEDED = (Role.OFFICER, Role.HEAD, Role.DSL, Role.GOVERNOR, Role.TECHNICIAN)
_FRESH_CHECK, _YEAR = timedelta(days=7), timedelta(days=366)
HELP = ("childline.org.uk", "ceop.police.uk", "nspcc.org.uk", "samaritans.org", "kooth.com")
_CHECK = "have checks made every night: schoolgate probe"


def roles(facts: Facts) -> Judged:
    """Judge whether everybody who has a part can sign in."""
    missing = [str(role) for role in _NEEDED if not facts.roles.get(role)]
    proof = ", ".join(f"{role}: {facts.roles.get(role, 0)}" for role in _NEEDED)
    if missing:
        return not_met(
            f"make accounts for: {', '.join(missing)} (schoolgate users add)", f"accounts: {proof}"
        )
    return met(f"accounts: {proof}", "a change of policy.yaml is in force within a second")


def record_of_decisions(facts: Facts) -> Judged:
    """Judge whether decisions have reasons, and the audit is whole."""
    silent = [one.source for one in facts.policy.rules if not one.reason.strip()]
    silent += [one.source for one in facts.policy.exceptions if not one.reason.strip()]
    proof = (
        f"{len(facts.policy.rules)} rules and {saying.many(len(facts.policy.exceptions), 'exception')}, each with its reason",
        f"{saying.many(facts.versions, 'version')} of the policy kept; audit of {facts.audit_rows:,} rows",
    )
    if facts.audit_problem:
        return not_met(
            "find out who changed the audit: schoolgate audit verify", facts.audit_problem, *proof[:1]
        )
    if silent:
        return not_met(f"give a reason in {', '.join(silent)}", *proof)
    if not facts.audit_rows:
        return not_met("start the portal, which keeps the record", *proof)
    return met(*proof, "its chain is unbroken")


def acting_on_reports(facts: Facts) -> Judged:
    """Judge whether alerts reach somebody and are seen to."""
    alerts, contacts = facts.alerts, facts.policy.school.contacts
    half = (
        f", half within {saying.length(alerts.median_seconds)}" if alerts.median_seconds is not None else ""
    )
    proof = f"{saying.many(few(alerts.raised), 'alert')} in {LOOK_BACK.days} days, {saying.many(few(alerts.acknowledged), 'time')} somebody saw to one{half}"
    listening = facts.roles.get(Role.DSL) or contacts.get("dsl")
    if not facts.policy.circumvention.alert or not listening or not facts.sends_letters:
        return not_met(
            "set `circumvention.alert`, an account or contact for the DSL, and a mail host ([mail])", proof
        )
    waits = facts.alerts_waiting
    if waits and facts.now - waits > facts.policy.circumvention.escalate_after:
        return not_met(
            "see to the alerts on the page Attempts",
            proof,
            f"one has waited since {saying.moment(waits, facts.zone)}",
        )
    return met(proof, "letters go out, and to somebody else where nobody sees to an alert")


def yearly_review(facts: Facts) -> Judged:
    """Judge the review of the policy: approved within a year, and not overdue."""
    review, today = facts.policy.review, facts.now.astimezone(facts.zone).date()
    if review is None:
        return not_met(
            "set `review:` in policy.yaml once it was approved",
            "the policy does not say when it was reviewed",
        )
    proof = f"approved by {review.approved_by} on {saying.day(review.approved_on)}, due on {saying.day(review.due)}"
    if review.due < today or not timedelta(0) <= today - review.approved_on <= _YEAR:
        return not_met("have the policy reviewed and approved, and set `review:` anew", proof)
    return met(proof)


def checks(facts: Facts) -> Judged:
    """Judge checks: one within a week, and as promised."""
    if not facts.checks:
        return not_met(_CHECK, f"no check was made in {LOOK_BACK.days} days")
    last = facts.checks[0]
    proof = (
        f"{saying.many(len(facts.checks), 'check')} in {LOOK_BACK.days} days; the last on {saying.moment(last.at, facts.zone)}:"
        f" {last.kept:,} as promised, {last.broken:,} not"
    )
    if facts.now - last.at > _FRESH_CHECK:
        return not_met(_CHECK, proof)
    return met(proof) if last.is_good else not_met("mend what the last check found", proof)


def where_to_check(facts: Facts) -> Judged:
    """Judge whether each network was checked lately."""
    seen = {name for one in facts.checks if facts.now - one.at <= timedelta(days=31) for name in one.networks}
    missing = [name for name in facts.policy.networks if name not in seen]
    proof = f"checked within a month: {', '.join(name for name in facts.policy.networks if name in seen) or 'none'}"
    return not_met(f"check from: {', '.join(missing)}", proof) if missing else met(proof)


def without_harm(facts: Facts) -> Judged:
    """Judge whether help is open everywhere."""
    known = [host for one in trying.services(facts, "safeguarding") for host in one.domains]
    hosts = list(dict.fromkeys((*HELP, *known)))
    closed = sorted({host for _, host in trying.closed_help(facts, hosts)})
    tried = f"{len(hosts)} sites for help and advice tried on {saying.many(len(facts.policy.networks), 'network')}"
    if closed:
        return not_met(
            "open category:safeguarding under `always_allow:`",
            tried,
            f"blocked somewhere: {', '.join(closed[:8])}",
        )
    took = sorted(one.took.total_seconds() for one in facts.requests if one.took is not None)
    answer = (
        (f"half of all requests had an answer within {saying.length(took[len(took) // 2])}",)
        if len(took) >= 5
        else ()
    )
    return met(f"{tried}: all open, now and in the lessons of a week", *answer)


def no_blanket_profile(facts: Facts) -> Judged:
    """Judge whether pupils and staff have networks of their own."""
    peoples = {one.people for one in trying.networks(facts)}
    proof = f"networks: {', '.join(f'{one.id} ({one.people})' for one in trying.networks(facts))}"
    if not {People.PUPIL, People.STAFF} <= peoples:
        return not_met("give pupils and staff networks of their own", proof)
    return uksic.age_appropriate(facts)


def illegal_always_on(facts: Facts) -> Judged:
    """Judge the lists of illegal content."""
    return uksic.cannot_be_switched_off(facts)


def all_users(facts: Facts) -> Judged:
    """Judge whether unknown devices count as pupils, and every network comes through here."""
    unknown = facts.policy.networks[facts.policy.unknown_clients]
    if unknown.people is not People.PUPIL:
        return not_met(
            "set `unknown_clients` to the network of pupils", f"unknown devices are treated as {unknown.id}"
        )
    judged = uksic.network_level(facts)
    return Judged(judged.stands, (f"unknown devices are treated as {unknown.id}", *judged.proof), judged.do)


def bypass_tools(facts: Facts) -> Judged:
    """Judge VPNs and proxies."""
    return uksic.circumvention(facts)


def record_fields(facts: Facts) -> Judged:
    """Judge what is recorded, where something is."""
    proof = "device (pseudonym, its address sealed), network, how sure that is, time, site, service, rule, way round"
    if facts.counted_from is None:
        return not_met("find out why nothing is recorded: schoolgate doctor", "nothing has been recorded yet")
    return met(
        proof,
        f"since {saying.moment(facts.counted_from, facts.zone)}; the person is found in the school's own records",
    )


def monitoring(_facts: Facts) -> Judged:
    """Judge monitoring: it is something else than filtering."""
    return not_ours(
        "this is filtering; alerts about attempts to get round it are no monitoring of what people do"
    )


def self_assessment(_facts: Facts) -> Judged:
    """Judge the school's self-assessment."""
    return not_ours("the school assesses itself; this page can be laid beside it")


def four_risks(facts: Facts) -> Judged:
    """Judge the four areas of risk: some category of each is decided on by a rule for pupils, and lists add to them."""
    found = risks.ruled(facts)
    proof = [f"{area}: {', '.join(names) or 'no rule'}" for area, names in found.items()]
    if missing := [area for area, names in found.items() if not names]:
        return not_met(f"decide by a rule for pupils about {', '.join(missing)}", *proof)
    gambling = trying.lists_that_block(facts, frozenset({"gambling"}))
    if not gambling:
        return not_met("add a list of gambling sites, which are part of commerce", *proof)
    return met(*proof, f"gambling: {', '.join(one.spec.name for one in gambling)}")


def self_harm(facts: Facts) -> Judged:
    """Judge help instead of a rule."""
    support = facts.policy.support
    if not support.topics or not support.text:
        return not_met(
            "say under `support:` which subjects lead to help, and whom to talk to",
            "no subject leads to help instead of a rule",
        )
    proof = f"{saying.many(len(support.topics), 'subject')} lead to help and to the school's own words on the block page"
    if not (facts.roles.get(Role.DSL) or facts.policy.school.contacts.get("dsl")) or not facts.sends_letters:
        return not_met("set an account or contact for the DSL, and a mail host ([mail])", proof)
    return met(
        proof,
        "the safeguarding lead, and nobody else, gets a letter of it: once a day for a device, in words that accuse nobody",
    )


def prevent_duty(facts: Facts) -> Judged:
    """Judge the list of terrorist content."""
    return uksic.terrorist_list(facts)


def testfiltering(_facts: Facts) -> Judged:
    """Judge SWGfL's own test."""
    return not_ours(
        "open testfiltering.com from a device of each network, and keep the certificates with this page"
    )


def walled_garden(facts: Facts) -> Judged:
    """Judge the small list for single devices."""
    count = len(facts.policy.supervised)
    if not count:
        return not_met(
            "list under `supervised:` what such a device may reach",
            "the list for supervised devices is empty",
        )
    return met(
        f"a device can be held to {saying.many(count, 'target')} and what is always open, until a date (page Sanctions)"
    )


def understandable_reports(facts: Facts) -> Judged:
    """Judge whether somebody reads reports."""
    if not facts.reports:
        return not_met(
            "read one: the page Report, or schoolgate report", "nobody has had a report made within a year"
        )
    return met(f"{saying.many(facts.reports, 'report')} made within a year, in plain words, on one page")


def wales(facts: Facts) -> Judged:
    """Judge what Wales asks of its schools."""
    if facts.policy.school.bank_holidays != "wales":
        return not_ours("the school is not in Wales, as its bank holidays say")
    return uksic.network_level(facts)


def ico_retention(facts: Facts) -> Judged:
    """Judge storage limitation."""
    return uksic.log_retention(facts)


def childrens_code(facts: Facts) -> Judged:
    """Judge other purposes: nothing is sent to whoever makes this."""
    fetched = sum(one.spec.url is not None for one in facts.policy.list_status)
    return met(
        "no cloud, no account, no telemetry: nothing is sent to the makers of this program",
        f"{saying.many(fetched, 'list')} fetched from elsewhere; what else the school has connected is in the annex on data protection",
    )


def dpia(facts: Facts) -> Judged:
    """Judge the impact assessment: it is the school's."""
    return not_ours(
        f"the school makes it; the annex on data protection of policy {facts.policy.version} is a part for it"
    )


def complaints(_facts: Facts) -> Judged:
    """Judge complaints about data."""
    return not_met(
        "say in the privacy notice where to complain, and keep the dates there",
        "the help page names contacts; there is no form and no timer for complaints about data",
    )
