"""Fetches lists by https, politely: only when due, and only what has changed (RFC 9110 section 13). Never in a packet path.

What a URL brings replaces the earlier download only once it was read to its end; whether it is any good is judged by
whoever reads the list, who keeps the last good copy.
"""

import http.client
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO

from schoolgate_policy.lists.shelf import Shelf, read_json, write_json
from schoolgate_policy.lists.spec import ListSpec
from schoolgate_policy.lists.unpack import MOST_SOURCE

_SECONDS_OF_SILENCE = 30
_SECONDS_IN_ALL = 600
_BLOCK = 1 << 16
_AGENT = "Schoolgate (school network filter)"
_SOON_AGAIN = 900.0  # seconds after a failure


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of one list: `error` is empty where it is up to date."""

    spec: ListSpec
    changed: bool
    error: str = ""


@dataclass(frozen=True, slots=True)
class _Marks:
    """What is known of a download. Times are seconds since the epoch."""

    url: str = ""
    etag: str = ""
    modified: str = ""
    confirmed: float = 0.0
    failed: float = 0.0


class _CannotFetch(Exception):  # noqa: N818 - control flow within this file
    """Why a list cannot be had, in one line."""


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    """Follows redirections to https and nowhere else."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not newurl.startswith("https://"):
            raise _CannotFetch("the server redirects to something that is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class Fetcher:
    """Fetches lists into the state folder; `tls` may trust further roots."""

    def __init__(self, state: Path, tls: ssl.SSLContext | None = None) -> None:
        self._shelf = Shelf(state)
        context = tls or ssl.create_default_context()
        self._opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _OnlyHttps())

    def refresh(self, specs: Iterable[ListSpec], *, force: bool = False) -> list[Fetched]:
        """Fetch every list that is due; with `force`, every list that has a URL.

        Raises:
            OSError: the state folder cannot be written.

        """
        self._shelf.prepare()
        return [
            self._fetch(spec, spec.url, marks)
            for spec in specs
            if spec.url is not None and (_is_due(spec, marks := self._marks(spec)) or force)
        ]

    def _marks(self, spec: ListSpec) -> _Marks:
        """Return what is known of a list's download; nothing where it came from another URL, or is gone."""
        path = self._shelf.download(spec)
        try:
            marks = _Marks(**read_json(path.with_name(f"{path.name}.json")))
        except TypeError:
            return _Marks()
        return marks if marks.url == spec.url and (path.is_file() or not marks.confirmed) else _Marks()

    def _fetch(self, spec: ListSpec, url: str, marks: _Marks) -> Fetched:
        path = self._shelf.download(spec)
        try:
            fresh, changed = self._ask(url, marks, path)
            error = ""
        except (
            _CannotFetch,
            urllib.error.URLError,
            OSError,
            http.client.HTTPException,
            ValueError,
        ) as failure:
            fresh, changed = _Marks(**{**asdict(marks), "url": url, "failed": time.time()}), False
            error = _words(failure)
        write_json(path.with_name(f"{path.name}.json"), asdict(fresh))
        return Fetched(spec, changed, error)

    def _ask(self, url: str, marks: _Marks, path: Path) -> tuple[_Marks, bool]:
        request = urllib.request.Request(url, headers=_headers(marks))  # noqa: S310 - the schema admits https only
        try:
            answer = self._opener.open(request, timeout=_SECONDS_OF_SILENCE)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == HTTPStatus.NOT_MODIFIED and marks.confirmed:
                    return _Marks(**{**asdict(marks), "confirmed": time.time(), "failed": 0.0}), False
                raise _CannotFetch(f"the server answers {error.code} {error.reason}") from None
        with answer:
            if answer.status != HTTPStatus.OK:
                raise _CannotFetch(f"the server answers {answer.status}")
            _store(answer, path)
            etag, modified = answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", "")
        return _Marks(url, etag, modified, time.time()), True


def _is_due(spec: ListSpec, marks: _Marks) -> bool:
    now = time.time()
    if now < marks.confirmed or now < marks.failed:  # the clock was set back
        return True
    return now - marks.confirmed >= spec.refresh.total_seconds() and now - marks.failed >= _SOON_AGAIN


def _headers(marks: _Marks) -> dict[str, str]:
    headers = {"User-Agent": _AGENT, "Accept-Encoding": "identity"}
    if marks.confirmed and marks.etag:
        headers["If-None-Match"] = marks.etag
    if marks.confirmed and marks.modified:
        headers["If-Modified-Since"] = marks.modified
    return headers


def _store(answer: http.client.HTTPResponse, path: Path) -> None:
    """Read a body to its end and put it in place of the earlier one."""
    until = time.monotonic() + _SECONDS_IN_ALL
    announced = answer.length
    size = 0
    beside = path.with_name(f".{path.name}.part")
    try:
        with beside.open("wb") as file:
            os.fchmod(file.fileno(), 0o640)  # what is locked is nobody else's business
            while block := answer.read(_BLOCK):
                size += len(block)
                if size > MOST_SOURCE:
                    raise _CannotFetch(f"it has more than {MOST_SOURCE >> 20} MiB")
                if time.monotonic() > until:
                    raise _CannotFetch(f"it did not arrive within {_SECONDS_IN_ALL} s")
                file.write(block)
        if announced is not None and size != announced:
            raise _CannotFetch("the connection broke off")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _words(failure: Exception) -> str:
    reason = getattr(failure, "reason", None) or failure
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return f"cannot be fetched: {' '.join(str(text).split())}"
