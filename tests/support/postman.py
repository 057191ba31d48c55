"""A mail server that takes letters in earnest."""

from email import message_from_bytes, policy
from email.message import EmailMessage


class Postman:
    """A mail server that keeps what it is handed, or refuses it."""

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []
        self.answer = "250 OK"

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd's name
        """Take a letter."""
        if self.answer.startswith("250"):
            message = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(message, EmailMessage)
            assert envelope.rcpt_tos == [message["To"]]
            self.letters.append(message)
        return self.answer
