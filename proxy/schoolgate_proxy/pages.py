"""Makes and counts the answers that the proxy gives itself; knows no proxy framework."""

from typing import NamedTuple

from schoolgate_policy.decision import Attempt, Decision
from schoolgate_policy.errors import InvalidHost
from schoolgate_policy.names import canonical_host
from schoolgate_policy.technique import Technique
from schoolgate_proxy import blockpage
from schoolgate_proxy.blockpage import BlockResponse
from schoolgate_proxy.checkpage import check_page, is_check
from schoolgate_proxy.config import ProxyConfig
from schoolgate_proxy.handling import Arrival, Handling, handling_of
from schoolgate_proxy.judge import Judge
from schoolgate_proxy.ports import Counters
from schoolgate_proxy.request import Refusal


class Fields(NamedTuple):
    """Header fields of a request that its answer suits, empty where it had none."""

    accept: str = ""
    sec_fetch_dest: str = ""
    accept_language: str = ""


class Pages:
    """Renders block pages and notices, and notes what they were shown for."""

    def __init__(self, config: ProxyConfig, judge: Judge, counters: Counters) -> None:
        self._config = config
        self._judge = judge
        self._counters = counters

    def blocked(self, attempt: Attempt, decision: Decision, fields: Fields) -> BlockResponse:
        """Return the page for a blocked attempt, which is noted as acted upon."""
        if is_check(decision):
            return self._counted(decision.network, check_page(attempt.path))
        self._judge.acted(attempt, decision)
        page = blockpage.render(
            decision,
            self._judge.policy,
            now=attempt.at,
            opens_at=self._judge.engine.opens_at(attempt),
            ask_url=self._config.ask_url(attempt, decision) if self._config.ask_url else None,
            **fields._asdict(),
        )
        return self._counted(decision.network, page)

    def refused(self, refusal: Refusal, arrival: Arrival, network: str, fields: Fields) -> BlockResponse:
        """Return the page for a request that is refused whatever the policy says; its technique is noted."""
        self._judge.saw(refusal.technique, arrival, refusal.host, network)
        lead = refusal.message.capitalize() + "."
        return self.notice(refusal.status, "This request was refused", lead, network, fields)

    def notice(self, status: int, title: str, lead: str, network: str, fields: Fields) -> BlockResponse:
        """Return the page for something that no policy decided."""
        school = self._judge.policy.school.name
        page = blockpage.render_notice(
            status, title, lead, school, accept=fields.accept, sec_fetch_dest=fields.sec_fetch_dest
        )
        return self._counted(network, page)

    def connect(
        self, arrival: Arrival, host: str, port: int, fields: Fields
    ) -> tuple[str | None, Decision | None, BlockResponse | None]:
        """Judge a CONNECT request: its canonical host and the verdict on it, or the answer that ends it."""
        try:
            name = canonical_host(host)
        except InvalidHost as error:
            refusal = Refusal(400, str(error), Technique.ODD_HOST)
            return None, None, self.refused(refusal, arrival, "", fields)
        if port not in self._config.web_ports:
            message = f"port {port} is not open for the web"
            refusal = Refusal(403, message, Technique.PROXY_PROTOCOL, name)
            return None, None, self.refused(refusal, arrival, "", fields)
        attempt = self._judge.attempt(arrival, name)
        decision = self._judge.decide(attempt)
        # A page can be shown inside TLS that is opened, and on plain HTTP.
        if decision.blocked and port != 80 and handling_of(decision) is Handling.REFUSE:
            return None, decision, self.blocked(attempt, decision, fields)
        return name, decision, None

    def _counted(self, network: str, page: BlockResponse) -> BlockResponse:
        self._counters.request_answered(network, page.status)
        return page
