"""From the bytes of a list to its names and pages: a fast way for files whose lines are all alike, a careful one besides."""

import re
from collections.abc import Iterator
from typing import IO

from schoolgate_policy.errors import InvalidHost
from schoolgate_policy.lists import pages
from schoolgate_policy.lists.formats import BadLine, LineParser, Tally, detect, parser_of
from schoolgate_policy.lists.spec import Counts, Format, ListRefused
from schoolgate_policy.lists.table import Gatherer, TooManyMembers
from schoolgate_policy.lists.unpack import MOST_UNPACKED
from schoolgate_policy.names import canonical_host

SMALL = 5_000  # up to so many names a list is kept as it is
MOST_NAMES = 20_000_000
_CHUNK = 1 << 20
_LONGEST_LINE = 64 << 10
_BAD_SHARE = 100  # one line in so many may be unreadable
_LABEL = rb"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = (
    rb"((?:%b\.)+[a-z](?:[a-z0-9_-]{0,61}[a-z0-9_])?)" % _LABEL
)  # never an address: the last label has a letter first
_LONGEST_NAME = 253


class Gathered:
    """Gathers the entries of a list. `quiet`: no message may quote a line; `with_pages`: pages count."""

    def __init__(self, kind: Format | None, *, quiet: bool, with_pages: bool) -> None:
        self.names = Gatherer(MOST_NAMES)
        self.pages = Gatherer(MOST_NAMES)
        self.small: set[str] | None = set()
        self._kind = kind
        self._found: dict[Format, None] = {}  # in the order in which they were met
        self._quiet = quiet
        self._with_pages = with_pages
        self._tally = Tally()
        self._lines = self._bad = self._first_bad = self._pages = self._bytes = 0
        self._first_words = ""
        self._single_labels = False
        self._around = 0  # characters of each line beside the name, its line feed too

    def read(self, stream: IO[bytes], *, ut1: bool) -> None:
        """Take one file.

        Raises:
            ListRefused: it is no list of names.

        """
        parser: LineParser | None = None
        shape: re.Pattern[bytes] | None = None
        try:
            for chunk in self._chunks(stream):
                if parser is None:
                    kind = self._kind or (Format.UT1 if ut1 else detect(_text(chunk).splitlines()))
                    self._found[kind] = None
                    parser = parser_of(kind)
                if shape is not None and self._all_alike(chunk, shape):
                    continue
                shape = self._line_by_line(chunk, parser)
        except TooManyMembers as error:
            raise ListRefused(str(error)) from None

    def counts(self, names: int, too_wide: int) -> Counts:
        """Say what was found.

        Raises:
            ListRefused: more than one line in a hundred cannot be read, or nothing in the list names a host.

        """
        if self._bad * _BAD_SHARE > self._lines:
            raise ListRefused(f"line {self._first_bad}: {self._first_words}")
        if not names and not self._pages and self._lines and (self._tally.unused or self._tally.exceptions):
            raise ListRefused("no line of it names a host to block")
        return Counts(
            format=", ".join(self._found or [Format.DOMAINS]),
            names=names,
            pages=self._pages,
            lines=self._lines,
            exceptions=self._tally.exceptions,
            unused=self._tally.unused,
            too_wide=too_wide,
            unreadable=self._bad,
            first_unreadable=self._first_bad,
            single_labels=self._single_labels,
        )

    def _chunks(self, stream: IO[bytes]) -> Iterator[bytes]:
        """Yield whole lines, a great many at a time, in lower case, each ended by a line feed."""
        rest = b""
        first = True
        while data := stream.read(_CHUNK):
            self._bytes += len(data)
            if b"\0" in data or self._bytes > MOST_UNPACKED:
                raise ListRefused("it is no text" if b"\0" in data else "it unpacks to too much")
            if first:
                data = data.removeprefix(b"\xef\xbb\xbf")
                first = False
            head, line_feed, tail = (rest + data).rpartition(b"\n")
            if len(tail) > _LONGEST_LINE:
                raise ListRefused(f"a line is longer than {_LONGEST_LINE >> 10} KiB: it is no list")
            rest = tail
            if line_feed:
                yield (head + b"\n").lower().replace(b"\r\n", b"\n")
        if rest:
            yield rest.lower().removesuffix(b"\r") + b"\n"

    def _all_alike(self, chunk: bytes, shape: re.Pattern[bytes]) -> bool:
        """Take a chunk if every line of it is exactly a name within the same surroundings."""
        names = shape.findall(chunk)
        if sum(map(len, names)) + self._around * len(names) != len(chunk):
            return False
        if len(max(names, key=len)) > _LONGEST_NAME:
            return False
        self._lines += len(names)
        self._take(names)
        return True

    def _take(self, names: list[bytes]) -> None:
        self.names.add(names)
        if self.small is not None:
            if len(names) <= SMALL:
                self.small.update(name.decode("ascii") for name in names)
            if len(names) > SMALL or len(self.small) > SMALL:
                self.small = None

    def _line_by_line(self, chunk: bytes, parser: LineParser) -> re.Pattern[bytes] | None:
        """Take a chunk with care; return the shape of its last line, if that is one name and what stands around it."""
        names: list[bytes] = []
        shape = None
        for line in chunk[:-1].split(b"\n"):
            self._lines += 1
            if len(line) > _LONGEST_LINE:
                raise ListRefused(
                    f"line {self._lines} is longer than {_LONGEST_LINE >> 10} KiB: it is no list"
                )
            text = _text(line)
            try:
                found = list(parser(text, self._tally))
                for entry in found:
                    self._entry(entry, names)
            except (BadLine, InvalidHost, pages.InvalidPage) as error:
                self._note(str(error))
                continue
            if len(found) == 1 and names and found[0].encode("utf-8", "replace") == names[-1]:
                shape = line, names[-1]
        self._take(names)
        return self._shape_of(*shape) if shape else None

    def _shape_of(self, line: bytes, name: bytes) -> re.Pattern[bytes]:
        before, _, after = line.partition(name)
        self._around = len(before) + len(after) + 1
        return re.compile(re.escape(before) + _NAME + re.escape(after) + b"\n")

    def _entry(self, text: str, names: list[bytes]) -> None:
        if "/" not in text and "?" not in text:
            name = canonical_host(text)
            self._single_labels = self._single_labels or "." not in name
            names.append(name.encode())
            return
        host, raw = pages.split_page(text)
        if pages.is_whole_site(raw):
            self._entry(host, names)
        elif self._with_pages:
            self.pages.add(pages.keys_of(text))
            self._pages += 1
        else:
            self._tally.unused += 1

    def _note(self, message: str) -> None:
        self._bad += 1
        if self._bad == 1:
            self._first_bad = self._lines
            self._first_words = "it cannot be read" if self._quiet else message


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")
