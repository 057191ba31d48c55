"""The filter's own host in a policy: pupils must reach the portal whatever the rules say, and nobody reads along."""

from collections.abc import Iterable
from dataclasses import replace

from schoolgate_policy.model import Policy, Target, TargetKind

SOURCE = "portal.url"  # the setting, which stands where other entries have their line


def with_own_host(policy: Policy, host: str) -> Policy:
    """Return the policy with the portal's canonical host (or address) always allowed and never inspected."""
    own = Target(TargetKind.DOMAIN, host)
    return replace(
        policy,
        always_allow=((own, SOURCE), *policy.always_allow),
        never_inspect=(own, *policy.never_inspect),
    )


def with_unopened(policy: Policy, hosts: Iterable[str]) -> Policy:
    """Return the policy with canonical hosts, and all below them, never inspected: no certificate can be made for them."""
    more = tuple(Target(TargetKind.DOMAIN, host) for host in hosts)
    return replace(policy, never_inspect=(*more, *policy.never_inspect)) if more else policy
