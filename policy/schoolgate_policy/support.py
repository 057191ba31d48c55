"""Which blocks are about welfare: who meets one may need help more than a rule."""

from schoolgate_policy.decision import Decision
from schoolgate_policy.model import Catalogue, Policy, Target, TargetKind
from schoolgate_policy.names import suffixes
from schoolgate_policy.reach import is_within


def is_welfare(policy: Policy, decision: Decision) -> bool:
    """Whether a decision is about one of the policy's `support.topics`."""
    return any(_is_about(target, decision, policy.catalogue) for target in policy.support.topics)


def _is_about(target: Target, decision: Decision, catalogue: Catalogue) -> bool:
    match target.kind:
        case TargetKind.CATEGORY:
            category = decision.category or ""
            return category in catalogue.categories and is_within(category, target.value, catalogue)
        case TargetKind.LIST:
            return decision.list == target.value
        case TargetKind.SERVICE:
            return decision.service == target.value
        case TargetKind.DOMAIN | TargetKind.URL:
            return target.value in suffixes(decision.host)
        case TargetKind.EVERYTHING:
            return True
