"""The filter's own host in a policy: pupils must reach the portal whatever the rules say, and nobody reads along."""

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
