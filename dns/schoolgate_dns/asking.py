"""A client's question in our own words, and what an answer to it must repeat (RFC 5452)."""

import secrets
from dataclasses import dataclass, replace

from schoolgate_dns.query import Query
from schoolgate_dns.reply import OUR_UDP_SIZE
from schoolgate_dns.wire import AD, CD, DO, HEADER, IN, QR, QUESTION_TAIL, RD, RECORD, Qtype

_PADDING = 12  # option code, RFC 7830
_BLOCK = 128  # RFC 8467 section 4.1: queries over TLS are padded to multiples of this

# The bit that makes a small letter a capital one, for octets that are small letters.
_CASE_BIT = bytes(0x20 if 0x61 <= octet <= 0x7A else 0 for octet in range(256))


@dataclass(frozen=True, slots=True)
class Asking:
    """One question as it goes out: the message, and what an answer must repeat."""

    message: bytes
    ident: bytes
    question: bytes

    def answered_by(self, reply: bytes) -> bool:
        """Whether a message answers this question to the letter."""
        return self._matches(reply) and reply[HEADER.size : HEADER.size + len(self.question)] == self.question

    def answered_in_other_case(self, reply: bytes) -> bool:
        """Whether a message answers it but for letter case: the server loses it, or somebody guesses."""
        echoed = reply[HEADER.size : HEADER.size + len(self.question)]
        return self._matches(reply) and echoed.lower() == self.question.lower()

    def respelt(self, reply: bytes) -> bytes:
        """Return the reply with our own spelling of the question: what follows takes it as we asked it."""
        return reply[: HEADER.size] + self.question + reply[HEADER.size + len(self.question) :]

    def with_ident(self, ident: bytes) -> "Asking":
        """Return the same question under another id."""
        return replace(self, message=ident + self.message[2:], ident=ident)

    def _matches(self, reply: bytes) -> bool:
        if len(reply) < HEADER.size + len(self.question) or reply[:2] != self.ident:
            return False
        _, flags, questions, *_ = HEADER.unpack_from(reply)
        return bool(flags & QR) and not flags >> 11 & 0xF and questions == 1


def ask(query: Query, *, edns: bool = True, padded: bool = False) -> Asking:
    """Put a client's question into our own words: nothing of its options, client subnet above all, goes along.

    `padded` hides the length of the name from whoever watches an encrypted connection.
    """
    noise = secrets.token_bytes(len(query.name) + 2)
    ident = noise[:2]
    question = _random_case(query.name, noise[2:]) + QUESTION_TAIL.pack(query.qtype, IN)
    flags = RD | AD | (CD if query.checking_disabled else 0)
    opt = b""
    if edns:
        options = _padding(HEADER.size + len(question) + 1 + RECORD.size) if padded else b""
        ttl = DO if query.dnssec_ok else 0
        opt = b"\0" + RECORD.pack(Qtype.OPT, OUR_UDP_SIZE, ttl, len(options)) + options
    header = ident + HEADER.pack(0, flags, 1, 0, 0, int(edns))[2:]
    return Asking(header + question + opt, ident, question)


def _padding(size: int) -> bytes:
    missing = -(size + QUESTION_TAIL.size) % _BLOCK
    return QUESTION_TAIL.pack(_PADDING, missing) + bytes(missing)


def _random_case(name: bytes, noise: bytes) -> bytes:
    """Return the name with each letter in random case: 0x20 is the one bit that tells them apart."""
    turned = int.from_bytes(name.translate(_CASE_BIT)) & int.from_bytes(noise)
    return (int.from_bytes(name) ^ turned).to_bytes(len(name))
