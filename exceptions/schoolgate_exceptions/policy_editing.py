"""The policy itself, for the officer in the portal: see it, check it, save it, look back, and restore."""

from dataclasses import dataclass

from schoolgate_exceptions.office import Office
from schoolgate_exceptions.people import read_setting, write_setting
from schoolgate_exceptions.roles import SYSTEM, Actor, Role
from schoolgate_policy.errors import PolicyIssue
from schoolgate_policy.history import Listed, Version, digest_of
from schoolgate_policy.load import parse_policy, reader_below
from schoolgate_policy.write import Author, Written, edit_policy, history_of

_SEEN = "policy seen"


@dataclass(frozen=True, slots=True)
class PolicyText:
    """The file as it is now; `version` is what `save` wants to hear again."""

    text: str
    version: str


class PolicyEditing:
    """Reads and writes policy.yaml for people."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def read(self) -> PolicyText:
        """Return the file.

        Raises:
            OSError: it cannot be read.

        """
        data = self._office.policy_file.read_bytes()
        return PolicyText(data.decode(errors="replace"), digest_of(data))

    def check(self, text: str) -> list[PolicyIssue]:
        """Return everything that is wrong with a text, warnings too; empty where it could be saved as it is."""
        file = self._office.policy_file
        return parse_policy(
            text.encode(),
            file.name,
            self._office.policy.catalogue,
            reader_below(file.parent, self._office.state),
        )[1]

    def save(self, actor: Actor, text: str, version: str, why: str) -> Written:
        """Save a text that was made from a version of the file.

        Raises:
            PolicyError: the text is no usable policy; carries every issue.
            PolicyConflict: the file changed meanwhile; nothing was written.
            PolicyUnwritable: the file cannot be written.

        """
        role = actor.require(Role.OFFICER)
        data = (
            text.replace("\r\n", "\n").encode()
            if b"\r\n" not in self._office.policy_file.read_bytes()
            else text.encode()
        )
        return self._write(actor, role, data, version, why)

    def restore(self, actor: Actor, version: str, expect: str) -> Written:
        """Bring an earlier version back; `expect` is the version it replaces.

        Raises:
            HistoryError: there is no such version.
            PolicyError, PolicyConflict, PolicyUnwritable: as for `save`.

        """
        role = actor.require(Role.OFFICER)
        history = history_of(self._office.state)
        found = history.find(version)
        return self._write(actor, role, history.read(found), expect, f"back to version {found.short}")

    def history(self) -> list[Listed]:
        """Return every version that was kept, newest first, with the number of lines it changed."""
        return list(history_of(self._office.state).listed())

    def text_of(self, version: str) -> str:
        """Return the text of a version that was kept."""
        history = history_of(self._office.state)
        return history.read(history.find(version)).decode(errors="replace")

    def last_change(self) -> Version | None:
        """Return the newest version that was kept."""
        return next(iter(history_of(self._office.state).versions()), None)

    def notice(self) -> bool:
        """Note in the audit that another version is in force than last time, whoever wrote it; return whether."""
        version = self._office.policy.version
        with self._office.read() as connection:
            if read_setting(connection, _SEEN) == version:
                return False
        with self._office.write() as connection:
            before = read_setting(connection, _SEEN)
            if before == version:
                return False
            write_setting(connection, _SEEN, version)
            self._office.audit.add(
                connection, self._office.now(), SYSTEM, "policy.in-force", version, before=before
            )
            return True

    def _write(self, actor: Actor, role: Role, data: bytes, version: str, why: str) -> Written:
        now = self._office.now()
        written = edit_policy(
            self._office.policy_file,
            lambda _: data,
            author=Author(str(role), " ".join(why.split())[:200] or "edited in the portal", now),
            expect=version,
            state=self._office.state,
        )
        with self._office.write() as connection:
            self._office.audit.add(
                connection,
                now,
                actor,
                "policy.saved",
                written.after[:12],
                role=role,
                before=written.before[:12],
                why=why,
            )
        return written
