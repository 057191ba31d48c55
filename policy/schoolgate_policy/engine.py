"""The one engine that gives every verdict. Pure: it reads no clock, no file and no network.

The order of judgement; the first step that speaks decides:

1. locked lists: illegal content, nobody can open it; a page of it only where TLS is opened
2. `always_allow`
3. a sanction on the device: only what a supervised pupil may reach
4. the rules of the state that is switched on, such as an incident
5. exceptions in force, the most specific target first (a page, a longer name, a service, a category, a list,
   everything), then devices before networks before everybody
6. minimum ages, then `rules` in file order
7. the network's `otherwise`

A client in no network is judged as one of the network `unknown_clients` names. A host that is none is blocked with
reason `error`. Where only the name is known, an entry for some page below it counts as soon as it allows (the
connection must come about for the page to be judged) and `Decision.path_decides` says so. A name that several
services share is blocked only when each of them would be.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from schoolgate_policy.additions import additions
from schoolgate_policy.clients import Client, ClientDirectory
from schoolgate_policy.compile import Compiled, Entry, Profile, compile_policy
from schoolgate_policy.decision import READING, Attempt, Decision, Reason, Step, Verdict
from schoolgate_policy.errors import InvalidHost
from schoolgate_policy.index import Hits
from schoolgate_policy.model import Inspection, Policy, Sanction
from schoolgate_policy.names import canonical_host
from schoolgate_policy.trail import Narrator

_MOST_ADDRESSES = 65_536  # remembered clients; a school has thousands
_MOST_DECISIONS = 8_192  # remembered decisions of one profile: about 3 MB
_MOST_EXAMPLES = 4_096
_LOOK_AHEAD = timedelta(days=14)
_LOOK_AHEAD_STEPS = 200

type Group = tuple[str, tuple[str, ...], str | None, bool]  # network, devices, address if sanctioned, known
_READS = READING | {None}

type _Key = str | tuple[str, ...]


class Engine:
    """Judges attempts by one policy. Make a new one when the policy or the sanctions change."""

    def __init__(
        self, policy: Policy, sanctions: tuple[Sanction, ...] = (), state: str | None = None
    ) -> None:
        self.policy = policy
        self.sanctions = sanctions
        self.state = state if state in policy.states else None
        self._compiled: Compiled = compile_policy(policy, sanctions, self.state)
        self._directory = ClientDirectory(policy.networks, policy.devices, policy.unknown_clients)
        self._profiles: dict[tuple[str, tuple[str, ...], str | None], Profile] = {}
        self._by_address: dict[str, Profile] = {}

    def identify(self, address: str) -> Client:
        """Return who an address is: its network and devices."""
        return self._directory.identify(address)

    def group(self, address: str) -> Group:
        """Return what all clients have in common that this engine judges alike; every client has one group."""
        client = self._directory.identify(address)
        return client.network, client.devices, self._sanctioned(client), client.known

    def decide(self, attempt: Attempt) -> Decision:
        """Judge one attempt; answered from memory while an earlier verdict on the same still holds."""
        profile = self._by_address.get(attempt.address) or self._profile(attempt.address)
        key: _Key = attempt.host if attempt.path is None else (attempt.host, attempt.path)
        if attempt.shows is not None or attempt.within is not None or attempt.method not in _READS:
            key = self._particular_key(attempt)
        known = profile.decisions.get(key)
        at = attempt.at
        if known is not None and known.at <= at and (known.valid_until is None or at < known.valid_until):
            return known
        decision = self._judge(profile, attempt)
        if len(profile.decisions) >= _MOST_DECISIONS:
            profile.decisions.clear()
        profile.decisions[key] = decision
        return decision

    def _particular_key(self, attempt: Attempt) -> _Key:
        """Return under which key a verdict is remembered where more than host and path may count."""
        page = attempt.within if self._compiled.parts.concern_any(attempt.host) else None
        method = attempt.method if self._compiled.reading_only and attempt.method not in _READS else None
        if attempt.path is None or (page is None and attempt.shows is None and method is None):
            return attempt.host if attempt.path is None else (attempt.host, attempt.path)
        on = (page.host, page.path) if page else ("", "")
        return (attempt.host, attempt.path, attempt.shows or "", *on, method or "")

    def explain(self, attempt: Attempt) -> Decision:
        """Judge one attempt afresh and tell in `considered` everything that was looked at, in order."""
        client = self._directory.identify(attempt.address)
        profile = self._profile(attempt.address)
        decision = self._judge(profile, attempt)
        return replace(decision, considered=self._narrate(client, profile, attempt, decision))

    def opens_at(self, attempt: Attempt) -> datetime | None:
        """Return the first instant after a blocked attempt at which it would be allowed; None: not in two weeks."""
        at, last = attempt.at, attempt.at + _LOOK_AHEAD
        profile = self._profile(attempt.address)
        for _ in range(_LOOK_AHEAD_STEPS):
            decision = self._judge(profile, replace(attempt, at=at))
            if not decision.blocked:
                return at
            if decision.valid_until is None or decision.valid_until > last:
                return None
            at = decision.valid_until
        return None

    def _profile(self, address: str) -> Profile:
        """Find what applies to an address; clients with the same network and devices share one profile."""
        client = self._directory.identify(address)
        sanction = self._compiled.sanctions.get(client.address)
        key = client.network, client.devices, self._sanctioned(client)
        profile = self._profiles.get(key)
        if profile is None:
            profile = self._profiles[key] = self._compiled.profile(client, sanction)
        if len(self._by_address) >= _MOST_ADDRESSES:
            self._by_address.clear()
        self._by_address[address] = profile
        return profile

    def _sanctioned(self, client: Client) -> str | None:
        return client.address if client.address in self._compiled.sanctions else None

    def _judge(self, profile: Profile, attempt: Attempt) -> Decision:
        at = attempt.at if attempt.at.tzinfo is UTC else attempt.at.astimezone(UTC)
        try:
            host = canonical_host(attempt.host)
        except InvalidHost as error:
            return Decision(
                Verdict.BLOCK,
                Reason.ERROR,
                f"{error}",
                at,
                None,
                attempt.host,
                profile.network.id,
                profile.device,
            )
        pages = False
        for part in self._compiled.locked:
            if part.hosts.covers(host):
                return self._locked(profile, host, at)
            if part.pages is not None and part.pages.below(host):
                pages = True
                if attempt.path is not None and part.pages.covers(host, attempt.path):
                    return self._locked(profile, host, at)
        decision = self._judge_entries(profile, host, attempt, at)
        return self._with_locked_pages(profile, decision, attempt.path) if pages else decision

    def _locked(self, profile: Profile, host: str, at: datetime) -> Decision:
        return self._decision(profile, host, at, Hits(0, 0, None), Verdict.BLOCK, Reason.LOCKED)

    def _with_locked_pages(self, profile: Profile, decision: Decision, path: str | None) -> Decision:
        """Have a site with locked pages inspected wherever the network can be, whatever `never_inspect` says of it."""
        undecided = path is None and not decision.blocked
        return replace(
            decision,
            path_decides=decision.path_decides or undecided,
            open_tls=profile.network.inspection is not Inspection.NAMES,
        )

    def _judge_entries(self, profile: Profile, host: str, attempt: Attempt, at: datetime) -> Decision:
        path = attempt.path
        hits = self._compiled.look_up(host, path, attempt.within, attempt.shows)
        if not hits.shared:
            if path is not None or attempt.shows is not None or profile.sanction is not None:
                return self._judge_hits(profile, host, path, at, hits, attempt.method)
            return self._judge_alike(profile, host, at, hits)
        each = [self._judge_hits(profile, host, path, at, one, attempt.method) for one in hits.shared]
        ends = [decision.valid_until for decision in each if decision.valid_until is not None]
        first = next((decision for decision in each if not decision.blocked), each[0])
        return replace(first, valid_until=min(ends, default=None))

    def _judge_alike(self, profile: Profile, host: str, at: datetime, hits: Hits) -> Decision:
        """Judge a name like the one before it of which the same was said, while that verdict holds."""
        known = profile.examples.get(hits)
        if known is not None and known.at <= at and (known.valid_until is None or at < known.valid_until):
            return known.about(host, at)
        if len(profile.examples) >= _MOST_EXAMPLES:
            profile.examples.clear()
        decision = profile.examples[hits] = self._judge_hits(profile, host, None, at, hits)
        return decision

    def _judge_hits(
        self,
        profile: Profile,
        host: str,
        path: str | None,
        at: datetime,
        hits: Hits,
        method: str | None = None,
    ) -> Decision:
        compiled = self._compiled
        until: datetime | None = None
        maybe_page = read_only = False
        live = (hits.sure | hits.maybe) & profile.mask
        sanction = None
        if profile.sanction is not None:
            supervised, until = profile.sanction.state(at)
            if supervised:
                sanction = profile.sanction
                live &= compiled.always_mask
        while live:
            bit = live & -live
            live ^= bit
            entry = compiled.entries[bit.bit_length() - 1]
            active, change = entry.state(at)
            if change is not None and (until is None or change < until):
                until = change
            if not active:
                continue
            if entry.methods and not entry.speaks_of(method):
                read_only = True
                continue
            on_page = bool(hits.maybe & bit)
            maybe_page = maybe_page or on_page
            if on_page and entry.verdict is Verdict.BLOCK:
                continue  # some page is blocked; the name itself is judged by what follows
            return self._decision(
                profile,
                host,
                at,
                hits,
                entry.verdict,
                entry.reason,
                entry=entry,
                through=hits.list_of(bit),
                until=until,
                page=maybe_page,
                sent=method if read_only else None,
            )
        if sanction is not None:
            allowed = sanction.covers(host, path)
            verdict = Verdict.ALLOW if allowed else Verdict.BLOCK
            return self._decision(profile, host, at, hits, verdict, Reason.SANCTION, until=until)
        return self._decision(
            profile,
            host,
            at,
            hits,
            profile.network.otherwise,
            Reason.OTHERWISE,
            until=until,
            page=maybe_page,
            sent=method if read_only else None,
        )

    def _decision(
        self,
        profile: Profile,
        host: str,
        at: datetime,
        hits: Hits,
        verdict: Verdict,
        reason: Reason,
        *,
        entry: Entry | None = None,
        through: str | None = None,
        until: datetime | None = None,
        page: bool = False,
        sent: str | None = None,
    ) -> Decision:
        """Put a decision together; `sent` is the method of a request to a page that is open for reading alone."""
        service = hits.service
        spec = self._compiled.lists.get(through) if through else None
        message = entry.message if entry else profile.message(reason, verdict)
        if sent is not None and verdict is Verdict.BLOCK:
            message = f"this page is open for reading; nothing may be sent to it ({sent})"
        return Decision(
            verdict=verdict,
            reason=reason,
            message=spec.reason if spec and spec.reason and verdict is Verdict.BLOCK else message,
            at=at,
            valid_until=until,
            host=host,
            network=profile.network.id,
            device=profile.device,
            rule=entry.rule if entry else None,
            exception=entry.exception if entry else None,
            source=entry.source if entry else profile.source(reason),
            service=service.id if service else None,
            category=service.category if service else spec.category if spec else None,
            list=through,
            path_decides=page,
            open_tls=self._opens_tls(profile, hits, verdict, page=page or self._adds(profile, host)),
        )

    @staticmethod
    def _adds(profile: Profile, host: str) -> bool:
        """Whether requests to the host get something added, which takes an opened connection."""
        return additions(profile.network, host) is not None

    def _opens_tls(self, profile: Profile, hits: Hits, verdict: Verdict, *, page: bool) -> bool:
        """Whether connections to the host are decrypted; a host on `never_inspect` never is, not even for a page."""
        match profile.network.inspection:
            case Inspection.NAMES:
                return False
            case Inspection.NEEDED:
                wanted = page or verdict is Verdict.BLOCK
            case Inspection.ALL:
                wanted = True
        return wanted and not hits.sure & self._compiled.never_inspect_mask

    def _narrate(
        self, client: Client, profile: Profile, attempt: Attempt, decision: Decision
    ) -> tuple[Step, ...]:
        if decision.reason is Reason.ERROR:
            return (Step("host", "", matched=True, because=decision.message),)
        return Narrator(self.policy, self._compiled, profile, client, attempt, decision).steps()
