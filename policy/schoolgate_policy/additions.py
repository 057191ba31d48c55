"""What the proxy adds to requests because the policy says so: filtered search, and whose accounts may sign in.

Sources: Google Workspace Admin Help ("Block access to consumer accounts"), Microsoft Entra ("Restrict access to a
tenant": `Restrict-Access-To-Tenants`, `Restrict-Access-Context`, `sec-Restrict-Tenant-Access-Policy`); for search
engines see `safe_search.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from schoolgate_policy.decision import Verdict
from schoolgate_policy.model import MicrosoftAccounts, Network
from schoolgate_policy.names import suffixes
from schoolgate_policy.safe_search import enforcement

_GOOGLE = frozenset({"google.com"})  # and all below it
_MICROSOFT = frozenset({"login.microsoft.com", "login.microsoftonline.com", "login.windows.net"})
_MICROSOFT_PERSONAL = "login.live.com"
_RESTRICT = "sec-Restrict-Tenant-Access-Policy"


@dataclass(frozen=True, slots=True)
class Additions:
    """Header fields set on every request to a host, and parameters set on every search."""

    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


def additions(network: Network, host: str) -> Additions | None:
    """Return what is added to requests to a canonical host from a network; None: nothing."""
    if not network.safe_search and network.accounts is None:
        return None
    headers = _account_headers(network, host)
    filtered = enforcement(network.safe_search, host)
    query: Mapping[str, str] = {}
    if filtered is not None:
        headers.update(filtered.headers)
        query = filtered.query
    return Additions(headers, query) if headers or query else None


def _account_headers(network: Network, host: str) -> dict[str, str]:
    accounts = network.accounts
    if accounts is None:
        return {}
    if accounts.google and not _GOOGLE.isdisjoint(suffixes(host)):
        return {"X-GoogApps-Allowed-Domains": ",".join(accounts.google)}
    return _microsoft_headers(accounts.microsoft, host) if accounts.microsoft else {}


def _microsoft_headers(accounts: MicrosoftAccounts, host: str) -> dict[str, str]:
    policy = f"{accounts.directory}:{accounts.policy}" if accounts.policy else None
    if host == _MICROSOFT_PERSONAL:
        if accounts.personal is Verdict.BLOCK:
            return {_RESTRICT: policy or "restrict-msa"}
        return {}
    if host not in _MICROSOFT:
        return {}
    if policy is not None:
        return {_RESTRICT: policy}
    return {
        "Restrict-Access-To-Tenants": ",".join(accounts.tenants),
        "Restrict-Access-Context": accounts.directory,
    }
