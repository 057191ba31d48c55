"""A limit on others' silence counts only their silence, not the time in which this process could not listen."""

import asyncio
import socket
import time

import pytest

from schoolgate_policy.patience import Alarm, within

SHORT = 0.02


async def hear(ear: socket.socket, steps: int) -> bytes:
    """Return what comes, handed through so many tasks, each of which needs a turn of the loop."""
    if steps:
        return (await asyncio.gather(hear(ear, steps - 1)))[0]
    return await asyncio.get_running_loop().sock_recv(ear, 10)


def test_what_came_while_the_loop_stood_still_is_heard() -> None:
    """The answer is there before the time is over; the loop, busy with others, gets to it only long after."""
    ear, mouth = socket.socketpair()
    ear.setblocking(False)

    def answer_then_stand_still() -> None:
        mouth.send(b"here")
        time.sleep(5 * SHORT)

    async def scenario() -> bytes:
        asyncio.get_running_loop().call_later(SHORT / 10, answer_then_stand_still)
        async with within(SHORT):
            return await hear(ear, 5)

    with ear, mouth:
        assert asyncio.run(scenario()) == b"here"


def test_silence_ends() -> None:
    """Nothing came: TimeoutError, and the work is ended."""
    ended = []

    async def scenario() -> None:
        try:
            async with within(SHORT):
                await asyncio.get_running_loop().create_future()
        finally:
            ended.append(True)

    with pytest.raises(TimeoutError):
        asyncio.run(scenario())
    assert ended


def test_who_cancels_from_outside_is_not_told_of_time() -> None:
    """A cancelled task ends as cancelled."""

    async def scenario() -> None:
        async def wait() -> None:
            async with within(10 * SHORT):
                await asyncio.get_running_loop().create_future()

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(scenario())


@pytest.mark.parametrize("turns", [0, 1, 5])
def test_a_cancelled_alarm_does_not_ring(turns: int) -> None:
    """Neither before its time nor in the turns that it waits after it."""
    rung = []

    async def scenario() -> None:
        alarm = Alarm(0, lambda: rung.append(True))
        for _ in range(turns):
            await asyncio.sleep(0)
        alarm.cancel()
        await asyncio.sleep(SHORT)
        Alarm(0, lambda: rung.append(False))
        await asyncio.sleep(SHORT)

    asyncio.run(scenario())
    assert rung == [False]
