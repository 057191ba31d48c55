"""The box as the portal's papers ask for it: parts by their health addresses, the firewall by its reader's metrics.

Nothing here needs a right: the portal never looks at the firewall itself.
"""

import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from schoolgate.doctor.running import health, not_ready
from schoolgate.settings import Endpoint, Settings
from schoolgate_exceptions.papers.box import Connected, FirewallState, PartState

_SECONDS = 2.0  # somebody may be waiting for a page
_LOADED, _REFUSED = "schoolgate_firewall_loaded", "schoolgate_firewall_refused_packets_total"


class SettingsBox:
    """The box that some settings describe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def parts(self) -> Sequence[PartState]:
        """Return every part that should run."""
        wanted = list(health(self._settings))
        with ThreadPoolExecutor(len(wanted)) as pool:
            problems = pool.map(lambda one: not_ready(one[1], _SECONDS), wanted)
            return [PartState(name, problem) for (name, _), problem in zip(wanted, problems, strict=True)]

    def interfaces(self) -> Sequence[str]:
        """Return the networks that have an interface, so that their traffic comes through here."""
        return tuple(self._settings.interfaces)

    def firewall(self) -> FirewallState:
        """Return what the reader of the firewall told at its last look."""
        if not self._settings.interfaces:
            return FirewallState(loaded=False, problem="no interfaces are named in schoolgate.toml")
        try:
            lines = metrics_of(self._settings.metrics.firewall)
        except OSError as error:
            return FirewallState(loaded=False, problem=f"its reader does not answer: {error}")
        values = [line.rpartition(" ") for line in lines.splitlines() if not line.startswith("#")]
        loaded = any(name == _LOADED and float(value) == 1 for name, _, value in values)
        refused = sum(float(value) for name, _, value in values if name.partition("{")[0] == _REFUSED)
        return FirewallState(loaded, int(refused), "" if loaded else "its reader finds no ruleset")

    def connected(self) -> Sequence[Connected]:
        """Return what outside it speaks with, as the settings say."""
        return tuple(self._connected())

    def _connected(self) -> Iterator[Connected]:
        settings = self._settings
        resolvers = ", ".join(map(str, settings.dns.upstreams)) or "the resolvers of this machine"
        yield Connected("Name servers", resolvers, "the names of allowed sites, from this box's address")
        if settings.mail.host:
            yield Connected(
                "Mail host", settings.mail.host, "letters to staff about requests and alerts, with pseudonyms"
            )
        if settings.sso.issuer:
            yield Connected(
                "Sign-in",
                settings.sso.issuer,
                "that somebody signs in to the portal; it sends e-mail address, name, groups",
            )
        if settings.database.url:
            yield Connected(
                "Database", "PostgreSQL, as schoolgate.toml says", "everything in the tables of this annex"
            )


def metrics_of(at: Endpoint) -> str:
    """Return what a part tells at its address; raises OSError."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{at}/metrics", timeout=_SECONDS) as answer:
        return str(answer.read(4_000_000).decode("utf-8", "replace"))
