"""What a migration step can do to a text: a small set of changes, each kept to its own characters, checked together."""

from schoolgate_policy.document import PolicyText
from schoolgate_policy.outline import Kind
from schoolgate_policy.splice import Splice


class Text:
    """A policy's text under a migration step; changes gather until `result` applies and checks them."""

    def __init__(self, data: bytes, file: str) -> None:
        self._text = PolicyText(data, file)
        self._expected = dict(self._text.value)
        self._splices: list[Splice] = []

    def rename(self, old: str, new: str) -> None:
        """Give a key at the top its new name; nothing where it is not there.

        Raises:
            EditError: both names are there, or the key is written so that it cannot be changed alone.

        """
        entry = self._text.outline.root.entry(old)
        if entry is None:
            return
        if new in self._expected:
            raise self._text.refuse(f"`{old}` is called `{new}` now, and both are there")
        key = entry[0]
        if not key.is_line:
            raise self._text.refuse(f"the key `{old}` is not written as a plain word")
        self._splices.append(Splice(key.start, key.end, f"{key.style}{new}{key.style}"))
        self._expected = {new if name == old else name: value for name, value in self._expected.items()}

    def set_version(self, version: int) -> None:
        """Say which version of the language the text is in from now on.

        Raises:
            EditError: the version is written so that it cannot be changed alone.

        """
        place = self._text.place(("version",))
        if place is None or place.kind is not Kind.SCALAR or not place.is_line:
            raise self._text.refuse("`version` is not written as a plain number")
        self._splices.append(Splice(place.start, place.end, str(version)))
        self._expected["version"] = version

    def result(self) -> bytes:
        """Apply the changes, and see that the result says what it should and nothing else."""
        return self._text.changed(self._splices, self._expected)
