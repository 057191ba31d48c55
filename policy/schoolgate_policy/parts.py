"""What is open only as a part of some page: the companions of a page, a video on the school's own site.

Where only a name is known, such an entry counts as one for some page below it: the connection must come about for the
request to be judged. Browsers tell other sites only the host of a page (Referrer-Policy, default
`strict-origin-when-cross-origin`), so a page's host alone is enough; the rest of that host stays closed by itself.
"""

from dataclasses import dataclass, replace

from schoolgate_policy.decision import Page
from schoolgate_policy.errors import InvalidHost
from schoolgate_policy.index import Hits, Index
from schoolgate_policy.names import canonical_host, suffixes


@dataclass(frozen=True, slots=True)
class Parts:
    """The entries that hold only on some pages (`mask`), the names they speak of (none: any), and those pages."""

    mask: int
    names: frozenset[str]
    pages: Index | None

    def concern_any(self, host: str) -> bool:
        """Whether the page that a host, in any spelling, is wanted for can make a difference."""
        if not self.mask:
            return False
        try:
            return not self.names or not self.names.isdisjoint(suffixes(canonical_host(host)))
        except InvalidHost:
            return False

    def narrowed(self, hits: Hits, path: str | None, within: Page | None) -> Hits:
        """Take away the entries that hold on other pages only; without a path they may hold."""
        if not (hits.sure | hits.maybe) & self.mask and not hits.shared:
            return hits
        allowed = self._allowed(within)
        shared = tuple(self._narrow(one, path, allowed) for one in hits.shared)
        return replace(self._narrow(hits, path, allowed), shared=shared)

    def _narrow(self, hits: Hits, path: str | None, allowed: int) -> Hits:
        if path is None:
            held = hits.sure & self.mask
            return replace(hits, sure=hits.sure & ~held, maybe=hits.maybe | held)
        wrong = self.mask & ~allowed
        return replace(hits, sure=hits.sure & ~wrong, maybe=hits.maybe & ~wrong)

    def _allowed(self, within: Page | None) -> int:
        if within is None or self.pages is None:
            return 0
        found = self.pages.look_up(within.host, None if within.path == "/" else within.path)
        return found.sure | found.maybe
