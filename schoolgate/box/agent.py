"""The part of a box that speaks with its centre: looks for a newer policy, sends events, says what is wrong.

Nothing here stands in the way of a packet: dns and proxy follow the files, and go on by the last good ones.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from schoolgate.box.client import Away, Client
from schoolgate.box.home import Home
from schoolgate.box.spool import Spool
from schoolgate.box.take import Taker
from schoolgate.centre.manifest import Refused
from schoolgate.events.receiver import EventReceiver
from schoolgate_policy.ports import Recorder

_OCTETS = 256 * 1024  # of events in a request
_PAUSE = 0.5  # seconds between looks for events
_LONGEST_PAUSE = 30.0

_log = structlog.get_logger()


class BoxCounters(Protocol):
    """What the agent counts; every method must return at once and never raise."""

    def asked(self, outcome: str) -> None:
        """Count one look for a policy: `same`, `new`, `away`, `refused` or `failed`."""
        ...

    def sent(self, datagrams: int) -> None:
        """Count datagrams of events that the centre has written."""
        ...


class Agent:
    """Looks and sends until stopped."""

    def __init__(
        self,
        home: Home,
        taker: Taker,
        client: Client,
        spool: Spool,
        receiver: EventReceiver,
        counters: BoxCounters,
        recorder: Recorder,
        *,
        poll: float,
        health: Callable[[], Mapping[str, str]],
        where: str,
    ) -> None:
        self._home = home
        self._taker = taker
        self._client = client
        self._spool = spool
        self._receiver = receiver
        self._counters = counters
        self._recorder = recorder
        self._poll = poll
        self._health = health
        self._where = where
        self._trouble: dict[str, str] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.heard = 0.0  # when the centre last answered as it should, in seconds since 1970

    async def start(self) -> None:
        """Begin; raises OSError where the socket for events cannot be made."""
        self._receiver.start()
        self._tasks = [
            asyncio.create_task(self._look(), name="look"),
            asyncio.create_task(self._send(), name="send"),
        ]

    async def ended(self) -> None:
        """Wait for ever: it does not end by itself."""
        await asyncio.Event().wait()

    async def stop(self) -> None:
        """Stop; what waits, waits on disk."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._receiver.stop)
        self._spool.close()

    def listening(self) -> dict[str, str]:
        """Return where the centre is: that is whom it listens to."""
        return {"centre_of_box": self._where}

    async def _look(self) -> None:
        while True:
            outcome = await self._once()
            self._counters.asked(outcome)
            await asyncio.sleep(self._poll)

    async def _once(self) -> str:
        health = {key: text for key, text in self._health().items() if text}
        try:
            manifest, new = await asyncio.to_thread(self._taker.take, health)
        except Away as error:
            return self._troubled("centre", "away", str(error))
        except Refused as error:
            return self._troubled("policy", "refused", str(error))
        except OSError as error:
            return self._troubled(
                "policy", "failed", f"{error.filename or ''}: {error.strerror or error}".lower()
            )
        except Exception as error:  # noqa: BLE001 - the last good policy stays, and it is tried again
            self._recorder.fault("centre", error)
            return "failed"
        self.heard = time.time()
        if self._trouble:
            _log.info("box.well_again", was=dict(self._trouble))
            self._trouble.clear()
            self._home.keep_trouble({})
        if new:
            _log.info("box.policy_taken", version=manifest.version)
        return "new" if new else "same"

    def _troubled(self, what: str, outcome: str, why: str) -> str:
        if self._trouble.get(what) != why:
            say = _log.warning if outcome == "away" else _log.error
            say(f"box.{what}_{outcome}", reason=why, effect="the last good policy stays in force")
            self._trouble[what] = why
            self._home.keep_trouble(self._trouble)
        return outcome

    async def _send(self) -> None:
        pause = _PAUSE
        while True:
            try:
                pause = _PAUSE if await asyncio.to_thread(self._send_some) else pause
            except Away:
                pause = min(pause * 2, _LONGEST_PAUSE)
            except Exception as error:  # noqa: BLE001 - they stay on disk
                self._recorder.fault("centre", error)
                pause = _LONGEST_PAUSE
            await asyncio.sleep(pause)

    def _send_some(self) -> bool:
        """Send all that waits, a request at a time; return whether that went well."""
        while batches := self._spool.next(_OCTETS):
            written = self._client.events(batches)
            self._spool.written(written)
            self._counters.sent(len(batches))
        return True
