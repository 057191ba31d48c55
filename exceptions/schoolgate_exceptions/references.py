"""What the block page hands to the portal: a signed reference that cannot be forged, and that soon is too old.

It holds the host, the rule, the network, the device by a keyed hash, and the time. No path and no query, since the
link may be copied, printed or logged.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from itsdangerous import BadData, URLSafeSerializer

from schoolgate_exceptions.errors import InvalidReference
from schoolgate_exceptions.keys import Keys
from schoolgate_policy.decision import Attempt, Decision, Reason

LIFETIME = timedelta(minutes=30)
_EARLY = timedelta(minutes=1)  # clocks of two processes on one box differ by less
_ALPHABET = (
    "23456789BCDFGHJKMNPQRSTVWXZ"  # nothing that reads like something else, and no vowels to make words of
)


@dataclass(frozen=True, slots=True)
class Reference:
    """What a block page was about."""

    host: str
    rule: str  # where the rule stands: `policy.yaml:41`
    reason: str  # the rule's words
    network: str
    device: str
    at: datetime


class References:
    """Makes references and reads them back."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._signer = URLSafeSerializer(keys.derive("reference"), salt="block-page")

    def device(self, address: str) -> str:
        """Return what stands for a device's address: a keyed hash."""
        return self._keys.pseudonym("device", address)

    def sign(self, reference: Reference) -> str:
        """Return a reference as it stands in a link."""
        fields = [
            reference.host,
            reference.rule,
            reference.reason,
            reference.network,
            reference.device,
            int(reference.at.timestamp()),
        ]
        return str(self._signer.dumps(fields))

    def for_block(self, attempt: Attempt, decision: Decision) -> str | None:
        """Return the reference for a block page; None where there is nothing that could be asked for."""
        if decision.reason in {Reason.LOCKED, Reason.ERROR}:
            return None
        return self.sign(
            Reference(
                decision.host,
                decision.source or "",
                decision.message,
                decision.network,
                self.device(attempt.address),
                attempt.at,
            )
        )

    def read(self, text: str, now: datetime) -> Reference:
        """Check a reference and return what it says.

        Raises:
            InvalidReference: it is not one of ours, or older than half an hour.

        """
        try:
            host, rule, reason, network, device, at = self._signer.loads(text)
            made = datetime.fromtimestamp(at, UTC)
        except (BadData, ValueError, TypeError, OverflowError, OSError):
            raise InvalidReference(
                "this link is not one of ours; go back to the blocked page and try again"
            ) from None
        if now - made > LIFETIME:
            message = "this link is too old; go back to the blocked page and try again"
            raise InvalidReference(message, stale=True)
        if made - now > _EARLY:
            raise InvalidReference("this link is from the future; go back to the blocked page and try again")
        return Reference(host, rule, reason, network, device, made)


def short_reference(number: int) -> str:
    """Return a short reference such as `K7-4QX` for a random number."""
    letters = []
    for _ in range(5):
        number, rest = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[rest])
    return "".join(letters[:2]) + "-" + "".join(letters[2:])


def parse_short_reference(text: str) -> str:
    """Bring a reference that somebody typed into its one spelling; what cannot be one stays as it is."""
    plain = "".join(character for character in text.upper() if character.isalnum())
    return f"{plain[:2]}-{plain[2:]}" if len(plain) == 5 else text.strip()
