"""What the proxy counts (`schoolgate_proxy.ports.Counters`), as metrics."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge

from schoolgate_proxy.handling import Handling


class ProxyMetrics:
    """Counts what the proxy does."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._children: dict[tuple[Any, tuple[str, ...]], Any] = {}
        self._connections = Counter(
            "schoolgate_proxy_connections", "Client connections taken in.", ["listener"], registry=registry
        )
        self._open = Gauge(
            "schoolgate_proxy_open_connections",
            "Client connections open now.",
            ["listener"],
            registry=registry,
        )
        self._handled = Counter(
            "schoolgate_proxy_tls_connections",
            "TLS connections, by what was done once the name was judged.",
            ["network", "handling"],
            registry=registry,
        )
        self._relayed = Counter(
            "schoolgate_proxy_relayed_bytes",
            "Octets of connections that were passed on unread, counted at their end.",
            ["network", "direction"],
            registry=registry,
        )
        self._relayed_time = Counter(
            "schoolgate_proxy_relayed_seconds",
            "How long connections that were passed on unread lasted, together.",
            ["network"],
            registry=registry,
        )
        self._turned_away = Counter(
            "schoolgate_proxy_connections_turned_away",
            "Connections closed unjudged.",
            ["cause"],
            registry=registry,
        )
        self._ech = Counter(
            "schoolgate_proxy_ech_hellos",
            "Greetings with the extension of Encrypted ClientHello, by whether they show a known outer name or, "
            "as browsers do by themselves (GREASE), their own.",
            ["network", "shown"],
            registry=registry,
        )
        self._outlived = Gauge(
            "schoolgate_proxy_connections_older_than_the_bell",
            "Connections open now that were open before the last edge of a schedule that concerned them.",
            ["network"],
            registry=registry,
        )
        self._answers = Counter(
            "schoolgate_proxy_answers",
            "Requests that the proxy answered itself, such as with the block page.",
            ["network", "status"],
            registry=registry,
        )
        self._failures = Counter(
            "schoolgate_proxy_upstream_failures",
            "Sites that could not be reached, or were refused by us for their address or certificate.",
            ["problem"],
            registry=registry,
        )
        self._pinned = Counter(
            "schoolgate_proxy_pinned_connections",
            "Connections passed on unread because of apps that trust only their own certificate.",
            ["network"],
            registry=registry,
        )
        self._pinned_names = Counter(
            "schoolgate_proxy_pinned_names",
            "Names that began to be passed on because of such apps.",
            ["network"],
            registry=registry,
        )
        self._certificate_missing = Counter(
            "schoolgate_proxy_certificate_missing",
            "Devices found to lack the school's certificate.",
            ["network"],
            registry=registry,
        )
        self._begin()

    def _begin(self) -> None:
        """Let every series of a closed set begin at 0."""
        for listener in ("explicit", "transparent"):
            self._child(self._connections, listener)
            self._child(self._open, listener)
        for cause in ("client", "full", "late", "pace"):
            self._child(self._turned_away, cause)
        for problem in ("name", "address", "connect", "certificate"):
            self._child(self._failures, problem)

    def _child[M: (Counter, Gauge)](self, metric: M, *labels: str) -> M:
        """Return the metric for these labels, remembered: finding it costs more than counting."""
        known = self._children.get((metric, labels))
        if known is None:
            known = self._children[metric, labels] = metric.labels(*labels)
        return known

    def connection_opened(self, listener: str) -> None:
        """Count a client connection."""
        self._child(self._connections, listener).inc()
        self._child(self._open, listener).inc()

    def connection_closed(self, listener: str) -> None:
        """Count the end of a client connection."""
        self._child(self._open, listener).dec()

    def connection_handled(self, network: str, handling: Handling) -> None:
        """Count what was done with a TLS connection."""
        self._child(self._handled, network, handling).inc()

    def connection_passed(self, network: str, sent: int, received: int, seconds: float) -> None:
        """Count the end of a connection that was relayed unread."""
        self._child(self._relayed, network, "sent").inc(sent)
        self._child(self._relayed, network, "received").inc(received)
        self._child(self._relayed_time, network).inc(seconds)

    def connection_turned_away(self, why: str) -> None:
        """Count a connection closed unjudged."""
        self._child(self._turned_away, why).inc()

    def ech_seen(self, network: str, *, outer: bool) -> None:
        """Count a ClientHello with the extension of ECH."""
        self._child(self._ech, network, "outer" if outer else "own").inc()

    def connection_outlived(self, network: str, change: int) -> None:
        """Count a connection that outlived an edge of a schedule, or its end."""
        self._child(self._outlived, network).inc(change)

    def request_answered(self, network: str, status: int) -> None:
        """Count a request that the proxy answered itself."""
        self._answers.labels(network, status).inc()

    def upstream_failed(self, why: str) -> None:
        """Count an upstream that could not be used."""
        self._child(self._failures, why).inc()

    def connection_pinned(self, network: str) -> None:
        """Count a connection that was passed on because of a pinned app."""
        self._child(self._pinned, network).inc()

    def name_pinned(self, network: str) -> None:
        """Count a name that is passed on from now on because of a pinned app."""
        self._child(self._pinned_names, network).inc()

    def certificate_missing(self, network: str) -> None:
        """Count a device that lacks the school's certificate."""
        self._child(self._certificate_missing, network).inc()
