"""Says, for each network, what its level of inspection cannot see: told by the program itself, so that nobody is misled.

Pure: made from the policy alone. The sentences speak to whoever answers for the policy, not to engineers.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from schoolgate_policy.decision import Verdict
from schoolgate_policy.model import Inspection, Network, Policy
from schoolgate_policy.technique import Technique


@dataclass(frozen=True, slots=True)
class Limitation:
    """One thing that stays unseen on a network; `technique` is the way round the filter that it leaves, if it has a name.

    `network` is the id of a network, `text` a sentence without a full stop.
    """

    network: str
    technique: Technique | None
    text: str


def limits(policy: Policy) -> tuple[Limitation, ...]:
    """Return what each network's level of inspection cannot see: networks in the order of the file, the gravest first."""
    return tuple(
        Limitation(network.id, technique, text)
        for network in policy.networks.values()
        for technique, text in _of_network(network, policy)
    )


def everywhere(policy: Policy) -> tuple[str, ...]:
    """Return what no network of this filter sees or does, whatever its level of inspection: sentences like the others."""
    supplied = [one for one in policy.locked if len(one.hosts) or one.pages]
    return (
        "mobile data: a telephone that uses its own network is not filtered and not seen",
        "off site: a device at home or on a trip is not filtered by this box, nor is a network that does not lead through it",
        (
            "no live content analysis: sites and pages are judged by their address; text, pictures, films and what an AI writes"
            " are not read, so something harmful on an allowed site is shown"
        ),
        "this is filtering, not monitoring: nobody is told what is typed into an allowed page, and search words are not kept",
        (
            "what people do on allowed sites is not its business: messages and friend requests between staff and pupils, the"
            " tone of posts, consent for photographs, privacy settings and passwords"
        ),
        "a device is known by its address, not its user: who sat there has to be found out by the school",
        *(
            ()
            if supplied
            else (
                "no list of illegal content has been supplied to this box, so such content is not blocked as such",
            )
        ),
    )


def passed_unread(policy: Policy) -> tuple[str, ...]:
    """Return what is let through without being looked at on networks whose connections are opened."""
    opened = [
        network.id for network in policy.networks.values() if network.inspection is not Inspection.NAMES
    ]
    names = sorted({_titled(policy, str(target)) for target in policy.never_inspect})
    found = [f"never opened on {', '.join(opened)}: {', '.join(names)}"] if names and opened else []
    found += [
        f"let out of {network.id} besides the web: {', '.join(map(str, one.to))} ({', '.join(map(str, one.ports))}),"
        f" for: {one.reason}"
        for network in policy.networks.values()
        for one in network.passes
    ]
    return tuple(found)


def _titled(policy: Policy, target: str) -> str:
    kind, _, name = target.rpartition(":")
    known = (
        policy.catalogue.categories.get(name) if kind == "category" else policy.catalogue.services.get(target)
    )
    return known.title if known else target


def _of_network(network: Network, policy: Policy) -> Iterator[tuple[Technique | None, str]]:
    match network.inspection:
        case Inspection.NAMES:
            yield from _unread("a connection to an allowed site", network)
            yield None, "nothing is opened: a blocked site is refused without a page that says why"
            yield None, "pages are not told apart: a rule for a single page cannot hold here"
            if network.safe_search:
                yield (
                    None,
                    (
                        "filtered search is brought about by the answers to name look-ups alone: a device that has kept an"
                        " address from elsewhere searches unfiltered until it asks again"
                    ),
                )
        case Inspection.NEEDED:
            yield from _unread("a connection that no rule asks to be opened", network)
            yield (
                None,
                "only sites with a rule for single pages, or with something added to requests, are read",
            )
            yield from _certificate()
        case Inspection.ALL:
            if policy.never_inspect:
                yield from _unread("a connection to a site on `never_inspect`", network)
            yield (
                None,
                (
                    "an app that trusts only its maker's certificate is let through unread for a day once several devices"
                    " have shown that it does; never to a blocked site"
                ),
            )
            yield (
                Technique.WEB_PROXY,
                (
                    "a page that shows other sites is told by known services, by addresses inside its own and by the files"
                    " of known programs: one that is new and hides the address is not"
                ),
            )
            yield from _certificate()
    for one in network.passes:
        yield None, f"what `passes` lets through is not looked at: {', '.join(map(str, one.to))}"
    yield None, "a device that uses another network, such as a mobile phone's own, is not seen at all"


def _unread(where: str, network: Network) -> Iterator[tuple[Technique | None, str]]:
    yield (
        Technique.FRONTING,
        f"inside {where} another site of the same provider can be asked for (domain fronting)",
    )
    yield (
        Technique.WEB_PROXY,
        f"inside {where} a translator, an archive or a web proxy can show a blocked site, unless it is blocked by name",
    )
    yield (
        Technique.DOH,
        f"inside {where} names can be looked up elsewhere (DNS over HTTPS), unless the service is blocked by name",
    )
    yield (
        Technique.NON_HTTP_TLS,
        f"inside {where} something else than the web can be carried, such as a tunnel",
    )
    yield (
        Technique.ECH,
        (
            f"inside {where} the name may stand for another one (Encrypted ClientHello); the keys are kept from devices that"
            " ask our DNS, and the public names that are known are refused"
        ),
    )
    if network.otherwise is Verdict.ALLOW and network.inspection is not Inspection.ALL:
        yield None, "sites that no rule and no list speaks of are allowed by name, whatever they hold"


def _certificate() -> Iterator[tuple[Technique | None, str]]:
    yield (
        Technique.CLIENT_DISTRUST,
        (
            "a device without the school's certificate shows a security warning in place of the block page, and of every"
            " site that is opened"
        ),
    )
