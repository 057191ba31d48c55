"""Time-based one-time passwords (RFC 6238 over RFC 4226): six digits every thirty seconds, SHA-1 as apps expect."""

import base64
import hmac
import struct
from datetime import datetime
from urllib.parse import quote

STEP_SECONDS = 30
_DIGITS = 6
_DRIFT = 1  # steps that a telephone's clock may be early or late
KEY_BYTES = 20


def step_of(at: datetime) -> int:
    """Return the number of the thirty seconds that hold an instant."""
    return int(at.timestamp()) // STEP_SECONDS


def code_at(key: bytes, step: int) -> str:
    """Return the code of a step (RFC 4226 5.3)."""
    digest = hmac.digest(key, struct.pack(">Q", step), "sha1")
    start = digest[-1] & 0x0F
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**_DIGITS:0{_DIGITS}}"


def matching_step(key: bytes, code: str, at: datetime, last_used: int) -> int | None:
    """Return the step whose code this is, None for a wrong one; a step that was used, or an earlier one, never is."""
    typed = "".join(character for character in code if character.isdecimal() and character.isascii())
    now = step_of(at)
    for step in range(now - _DRIFT, now + _DRIFT + 1):
        if hmac.compare_digest(code_at(key, step), typed) and step > last_used:
            return step
    return None


def uri(key: bytes, email: str, school: str) -> str:
    """Return what an authenticator app reads from a QR code."""
    name, secret = quote(f"{school}:{email}"), base64.b32encode(key).decode().rstrip("=")
    return (
        f"otpauth://totp/{name}?secret={secret}&issuer={quote(school)}&digits={_DIGITS}&period={STEP_SECONDS}"
    )
