"""Asking: from the form to a request in the queue, and what the person who asked sees of it afterwards."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from sqlalchemy import Connection

from schoolgate_exceptions import repository
from schoolgate_exceptions.desk import Desk, Said
from schoolgate_exceptions.errors import InvalidInput, InvalidReference, NotAllowed, TooMany, WorkflowError
from schoolgate_exceptions.granting import is_locked
from schoolgate_exceptions.kinds import Kind, Purpose
from schoolgate_exceptions.mails import Letter
from schoolgate_exceptions.model import AccessRequest, Ask, OfficialUse, Requester, Step
from schoolgate_exceptions.numbering import Numbering
from schoolgate_exceptions.plain_text import words
from schoolgate_exceptions.references import Reference, References, parse_short_reference
from schoolgate_exceptions.roles import SYSTEM, Actor, Role
from schoolgate_exceptions.safeguarding import is_worrying
from schoolgate_exceptions.workflow import Action, State
from schoolgate_policy.decision import Attempt, Decision
from schoolgate_policy.errors import InvalidHost, InvalidPath
from schoolgate_policy.names import canonical_host
from schoolgate_policy.paths import canonical_path

MOST_REASON = 200
_MOST_OFFICIAL = 1000
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_OFTEN = "you have asked often today; tell your teacher if you need something more"
_URGENT = "you have told us often today, and somebody will read it; go to a grown-up you trust now"
_FULL = "very many people have asked; tell your teacher what you need"
_HIDDEN = "a site that cannot be asked for"  # what stands in place of a host on a locked list


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of asking. `fresh` is False where the same was asked already: the request is that one."""

    request: AccessRequest
    fresh: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """How a request stands, for who asked: nothing of who decides and why beyond what they answered."""

    reference: str
    kind: Kind
    host: str
    state: State
    asked_at: datetime
    changed_at: datetime
    until: datetime | None  # of what was granted
    answer: str  # the newest answer or question of those who decide
    waiting_for_answer: bool
    mine: bool  # the one who looks is the one who asked
    shared: bool  # others have asked for the same


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is asked about, from a reference or from what somebody typed."""

    host: str
    path: str
    rule_source: str
    rule_reason: str
    requester: Requester


class Asking:
    """Takes requests in; `address` is always the IP address the form came from."""

    def __init__(self, desk: Desk, references: References, numbering: Numbering) -> None:
        self._desk = desk
        self._office = desk.office
        self._references = references
        self._numbering = numbering

    def reference(self, text: str) -> Reference:
        """Return what a block page's link says, so that the form can show it.

        Raises:
            InvalidReference: forged, or older than half an hour (`stale`).

        """
        return self._references.read(text, self._office.now())

    def asker(self, address: str) -> Actor:
        """Return somebody who is not signed in, by the device they use."""
        return Actor(frozenset({Role.REQUESTER}), device=self._references.device(address))

    def already(self, text: str, kind: Kind = Kind.UNBLOCK) -> AccessRequest | None:
        """Return the open request for what a link is about, if somebody of that network has asked already."""
        reference = self.reference(text)
        if not kind.merges:
            return None
        with self._office.read() as connection:
            return repository.same(connection, reference.host, reference.network, kind)

    def submit(self, ask: Ask, actor: Actor, address: str, language: str = "en") -> Asked:
        """Take a request in.

        Raises:
            InvalidInput: a field cannot be taken; says which and why.
            InvalidReference: the link is forged or too old.
            TooMany: this device asks too often, or the queue is full.
            NotAllowed: official use is asked for by somebody who is not signed in.

        """
        subject = self._subject(ask, actor, address, language)
        checked = self._checked(ask, actor, subject)
        urgent = checked.kind is Kind.REPORT or is_worrying(checked.reason)
        with (
            self._office.read() as connection
        ):  # a flood is turned away without waiting for the database's lock
            limited = self._limit(connection, subject, urgent=urgent)
            if limited and self._was_told(connection, checked, subject, limited):
                raise TooMany(limited, int(_DAY.total_seconds()))
        with self._office.write() as connection:
            limited = limited and self._limit(connection, subject, urgent=urgent)
            now = self._office.now()
            known = self._known(connection, checked, subject)
            if known is not None:
                joined = self._join(connection, known, checked, subject, actor)
                if joined is not None:
                    return joined
                limited = _OFTEN
            limited = limited or self._limit(connection, subject, urgent=urgent)
            if not limited:
                return Asked(self._add(connection, checked, subject, actor, now), fresh=True)
            whose = _noted_of(limited, subject)
            self._office.note_once(connection, actor, "request.limited", whose, _HOUR, why=limited)
        raise TooMany(limited, int(_DAY.total_seconds()))

    def standing(self, reference: str, actor: Actor) -> Standing:
        """Return how the request of a short reference stands; who has the reference may know.

        Raises:
            NotFound: there is none.

        """
        with self._office.read() as connection:
            request = repository.get(connection, parse_short_reference(reference))
            story = repository.story(connection, request.number)
        answers = [step.answer for step in story if step.answer and step.role is not Role.REQUESTER]
        return Standing(
            request.reference,
            request.kind,
            request.host,
            request.state,
            request.created_at,
            request.changed_at,
            request.grant.until if request.grant and request.state.is_granted else None,
            answers[-1] if answers else "",
            request.waiting_for_answer,
            is_mine(request, actor),
            request.askers > 1,
        )

    def answer(self, reference: str, actor: Actor, text: str) -> AccessRequest:
        """Answer a question about one's request.

        Raises:
            NotAllowed: it is somebody else's.
            WorkflowError: there is no question.

        """
        said = Said(answer=words("answer", text, MOST_REASON, least=1))
        with self._office.write() as connection:
            request = self._own(connection, reference, actor)
            worrying = request.safeguarding or is_worrying(said.answer)
            moved = self._desk.move(
                connection,
                request,
                Action.ANSWER,
                _as_requester(actor),
                said,
                waiting_for_answer=False,
                safeguarding=worrying,
            )
            if worrying and not request.safeguarding:
                self._desk.tell(connection, Letter.SAFEGUARDING, (Role.DSL,), moved)
            return moved

    def withdraw(self, reference: str, actor: Actor) -> AccessRequest:
        """Take one's request back.

        Raises:
            NotAllowed: it is somebody else's.
            WorkflowError: it was decided already, or others wait for it as well.

        """
        with self._office.write() as connection:
            request = self._own(connection, reference, actor)
            if request.askers > 1:
                raise WorkflowError("others have asked for the same; it stays open for them")
            return self._desk.move(connection, request, Action.WITHDRAW, _as_requester(actor))

    def mine(self, actor: Actor) -> list[AccessRequest]:
        """Return what somebody who is signed in has asked for, alone or with others, newest first."""
        if actor.account is None:
            return []
        with self._office.read() as connection:
            return repository.of_account(connection, actor.account)[::-1]

    def _own(self, connection: Connection, reference: str, actor: Actor) -> AccessRequest:
        request = repository.get(connection, parse_short_reference(reference))
        if not is_mine(request, actor):
            raise NotAllowed("only the device or the person that asked can do this")
        return request

    def _subject(self, ask: Ask, actor: Actor, address: str, language: str) -> _Subject:
        if ask.reference:
            try:
                reference = self.reference(ask.reference)
            except InvalidReference as error:
                self.refused(actor, address, str(error))
                raise
            who = self._requester(actor, address, reference.network, reference.device, language)
            return _Subject(reference.host, "", reference.rule, reference.reason, who)
        host, path = _parse_site(ask.host)
        client = self._office.engine.identify(address)
        who = self._requester(actor, address, client.network, self._references.device(address), language)
        decision = self._decide(address, host, path or "/")
        blocked = decision.blocked
        return _Subject(
            host,
            path if actor.account is not None else "",  # a page's path may say more than a pupil means to
            decision.source or "" if blocked else "",
            decision.message if blocked else "",
            who,
        )

    def _requester(self, actor: Actor, address: str, network: str, device: str, language: str) -> Requester:
        if actor.account is not None:
            device = self._references.device(f"account {actor.account}")
        devices = self._office.engine.identify(address).devices
        return Requester(network, device, devices, actor.account, actor.name, language)

    def _decide(self, address: str, host: str, path: str | None) -> Decision:
        return self._office.engine.decide(Attempt(address, host, self._office.now(), path))

    def refused(self, actor: Actor, address: str, why: str) -> None:
        """Note that somebody came with a link that is forged or too old; once an hour for each device."""
        with self._office.write() as connection:
            device = self._references.device(address)
            self._office.note_once(connection, actor, "reference.refused", device, _HOUR, why=why)

    def _checked(self, ask: Ask, actor: Actor, subject: _Subject) -> Ask:
        """Return the form with clean words; every field is looked at before anything is refused."""
        problems: dict[str, str] = {}
        if ask.kind is Kind.LESSON_WINDOW:
            raise NotAllowed("lesson windows are opened by teachers, not asked for")
        if ask.purpose is Purpose.RECRUITMENT:
            problems["purpose"] = "social media is not used to find out about people who apply for a job"
        reason = _field(problems, "reason", ask.reason, MOST_REASON, least=int(ask.kind.opens))
        if ask.wanted_until is not None and ask.wanted_until <= self._office.now():
            problems["until"] = "this time has passed; choose a later one"
        official = None
        if Kind.OFFICIAL_USE is ask.kind or ask.purpose is Purpose.OFFICIAL:
            if actor.account is None:
                raise NotAllowed("sign in to ask for official use")
            official = self._official(problems, ask.official)
        elif not problems and ask.kind is Kind.UNBLOCK and not ask.reference and self._is_open(subject):
            problems["host"] = f"{subject.host} is open already"
        if problems:
            if "purpose" in problems:
                self._refused_purpose(actor, subject)
            raise InvalidInput(**problems)
        kind = Kind.OFFICIAL_USE if official else ask.kind
        return replace(ask, reason=reason, official=official, kind=kind)

    def _is_open(self, subject: _Subject) -> bool:
        network = self._office.policy.networks.get(subject.requester.network)
        if network is None or not network.addresses:
            return False
        decision = self._decide(str(network.addresses[0].network_address), subject.host, subject.path or "/")
        return not decision.blocked and decision.valid_until is None

    def _official(self, problems: dict[str, str], given: OfficialUse | None) -> OfficialUse | None:
        if given is None:
            problems["objectives"] = "say what it is to achieve"
            return None
        objectives = _field(problems, "objectives", given.objectives, _MOST_OFFICIAL, least=1)
        outcomes = _field(problems, "outcomes", given.outcomes, _MOST_OFFICIAL, least=1)
        risks = _field(problems, "risk_assessment", given.risk_assessment, _MOST_OFFICIAL, least=1)
        if given.ends < self._office.today():
            problems["ends"] = "the last day has passed; choose a later one"
        return replace(given, objectives=objectives, outcomes=outcomes, risk_assessment=risks)

    def _refused_purpose(self, actor: Actor, subject: _Subject) -> None:
        with self._office.write() as connection:
            self._office.note_once(
                connection,
                actor,
                "request.purpose-refused",
                subject.requester.device,
                _HOUR,
                host=subject.host,
            )

    def _limit(self, connection: Connection, subject: _Subject, *, urgent: bool) -> str:
        """Return why this device has to wait, or nothing. What worries somebody waits behind no wish for a page."""
        limits, device = self._office.limits, subject.requester.device
        since = self._office.now() - _DAY
        if urgent:
            if repository.asked_since(connection, device, since, urgent=True) >= limits.device_urgent:
                return _URGENT
            full = repository.open_count(connection, reports=True) >= limits.open_in_all
            return _URGENT if full else ""
        if repository.open_count(connection, device) >= limits.device_open:
            return "you have asked for several pages already; somebody will look at them soon"
        if repository.asked_since(connection, device, since) >= limits.device_day:
            return _OFTEN
        if repository.open_count(connection) >= limits.open_in_all:
            return _FULL
        return ""

    def _was_told(self, connection: Connection, ask: Ask, subject: _Subject, limited: str) -> bool:
        """Whether a limit was noted lately, and there is no request that could be joined."""
        since, whose = self._office.now() - _HOUR, _noted_of(limited, subject)
        noted = self._office.audit.was_noted(connection, "request.limited", whose, since)
        return noted and self._known(connection, ask, subject) is None

    def _known(self, connection: Connection, ask: Ask, subject: _Subject) -> AccessRequest | None:
        """Return the open request that this one is the same as."""
        if is_locked(subject.host, self._office.policy):
            return None
        who = subject.requester
        alone = None if ask.kind.merges else (who.device, ask.reason)
        return repository.same(
            connection,
            subject.host,
            who.network,
            ask.kind,
            path=subject.path,
            alone=alone,
            official=ask.official,
        )

    def _join(
        self, connection: Connection, known: AccessRequest, ask: Ask, subject: _Subject, actor: Actor
    ) -> Asked | None:
        """Count one more who asks for the same, and keep what they say; None where they have said too much."""
        limits, who, now = self._office.limits, subject.requester, self._office.now()
        so_far = repository.said_so_far(connection, known.number, who.device)
        fresh = bool(ask.reason) and not repository.was_said(connection, known, ask.reason)
        worrying = fresh and is_worrying(ask.reason)
        limit = limits.device_urgent if worrying else limits.device_day
        often = repository.asked_since(connection, who.device, now - _DAY, urgent=worrying) >= limit
        if (often and not so_far) or so_far >= limits.device_words:
            return None if fresh else Asked(known, fresh=False)
        if not so_far:
            repository.add_asker(connection, known.number, who, now)
            known = replace(known, askers=known.askers + 1)
        elif fresh:
            repository.count_words(connection, known.number, who.device)
        if fresh or (who.account is not None and not so_far):
            asker = replace(_as_requester(actor), device=who.device)
            known = self._desk.join(connection, known, asker, ask.reason, worrying=worrying)
        return Asked(known, fresh=False)

    def _add(
        self, connection: Connection, ask: Ask, subject: _Subject, actor: Actor, now: datetime
    ) -> AccessRequest:
        policy = self._office.policy
        locked = is_locked(subject.host, policy)
        worrying = locked or is_worrying(ask.reason)
        decision = self._office.engine.decide(Attempt("0.0.0.0", subject.host, now))  # noqa: S104 - anybody
        request = repository.insert(
            connection,
            AccessRequest(
                number=0,
                id=self._numbering.new_id(connection, now),
                reference=self._numbering.new_reference(connection),
                kind=ask.kind,
                state=State.SUBMITTED,
                version=1,
                host=_HIDDEN if locked else subject.host,
                path="" if locked else subject.path,
                service="" if locked else decision.service or "",
                purpose=ask.purpose,
                reason=ask.reason,
                wanted_until=ask.wanted_until,
                requester=subject.requester,
                rule_source=subject.rule_source,
                rule_reason=subject.rule_reason,
                created_at=now,
                changed_at=now,
                safeguarding=worrying,
                official=ask.official,
            ),
        )
        step = Step(now, None, None, State.SUBMITTED, Role.REQUESTER, actor.account, actor.name)
        repository.add_step(connection, request.number, step)
        self._office.audit.add(
            connection,
            now,
            replace(actor, device=subject.requester.device),
            "request.submitted",
            request.id,
            role=Role.REQUESTER,
            kind=request.kind,
            host=request.host,
            network=request.requester.network,
            purpose=request.purpose,
            safeguarding=worrying,
        )
        if worrying:
            self._desk.tell(connection, Letter.SAFEGUARDING, (Role.DSL,), request)
        if locked:
            said = Said("it is on a locked list", "This site can never be opened.")
            request = self._desk.move(connection, request, Action.REFUSE, SYSTEM, said)
        return request


def _noted_of(limited: str, subject: _Subject) -> str:
    """Return whom a limit concerns in the audit: one device, or where the queue is full nobody alone."""
    return "queue" if limited == _FULL else subject.requester.device


def is_mine(request: AccessRequest, actor: Actor) -> bool:
    """Whether somebody is the one who asked: by account, or by device where there is none."""
    who = request.requester
    if who.account is not None:
        return who.account == actor.account
    return bool(actor.device) and who.device == actor.device


def _as_requester(actor: Actor) -> Actor:
    return replace(actor, roles=frozenset({Role.REQUESTER}))


def _field(problems: dict[str, str], name: str, text: str, most: int, *, least: int = 0) -> str:
    try:
        return words(name, text, most, least=least)
    except InvalidInput as error:
        problems.update(error.fields)
        return ""


def _parse_site(text: str) -> tuple[str, str]:
    """Read a host or a URL somebody typed; a query and what follows `#` are dropped.

    Raises:
        InvalidInput: it names no site.

    """
    typed = text.strip()[:2_000]
    try:
        parts = urlsplit(typed if "://" in typed else f"//{typed}")
        host = canonical_host(parts.hostname or "")
        path = canonical_path(parts.path or "/")
    except (InvalidHost, InvalidPath, ValueError):
        raise InvalidInput(host="write the address of the site, such as www.example.org") from None
    return host, "" if path == "/" else path[:500]
