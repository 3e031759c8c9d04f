"""Steps run a handler as a task would, but at once; whoever brings the news wakes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from apertura.relay.steps import Signal, Steps


class Run:
    """A coroutine on its way, what it said so far and how it ended."""

    def __init__(self, handler: Callable[[list[str]], Coroutine[Any, Any, None]]) -> None:
        self.said: list[str] = []
        self.ends: list[BaseException | None] = []
        self.steps = Steps(handler(self.said), self.ends.append)
        self.steps.step()

    async def end(self) -> BaseException | None:
        """How it ended, once it has; and nothing comes after that."""
        async with asyncio.timeout(5):
            while not self.ends:
                await asyncio.sleep(0)
        await turns()
        [end] = self.ends
        return end


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


# --- running ---


async def test_a_handler_that_waits_for_nothing_runs_at_once() -> None:
    """No turn of the loop passes between its start and its end."""

    async def handler(said: list[str]) -> None:
        said.append("ran")

    run = Run(handler)
    assert (run.said, run.ends) == (["ran"], [None])
    assert await run.end() is None


async def test_a_signal_wakes_it_inside_the_firing() -> None:
    """What follows the wait has happened when `fire` returns."""
    signal = Signal()

    async def handler(said: list[str]) -> None:
        said.append("before")
        await signal
        said.append("after")

    run = Run(handler)
    assert (run.said, run.ends) == (["before"], [])
    signal.fire()
    assert (run.said, run.ends) == (["before", "after"], [None])
    assert await run.end() is None


async def test_a_signal_that_has_fired_is_not_waited_for() -> None:
    """Nor does it matter how often it fired."""
    signal = Signal()
    signal.fire()
    signal.fire()

    async def handler(_: list[str]) -> None:
        await signal
        await signal

    assert Run(handler).ends == [None]


async def test_a_second_firing_wakes_nobody() -> None:
    """Somewhere else it waits by then."""
    first, second = Signal(), Signal()

    async def handler(said: list[str]) -> None:
        await first
        said.append("first")
        await second

    run = Run(handler)
    first.fire()
    first.fire()
    assert (run.said, run.ends) == (["first"], [])
    second.fire()
    assert await run.end() is None


async def test_a_step_may_fire_what_another_waits_for() -> None:
    """One inside the other, and each ends once."""
    inner, outer = Signal(), Signal()

    async def waits(said: list[str]) -> None:
        await inner
        said.append("inner")

    async def fires(said: list[str]) -> None:
        await outer
        inner.fire()
        said.append("outer")

    first, second = Run(waits), Run(fires)
    outer.fire()
    assert (first.said, second.said) == (["inner"], ["outer"])
    assert (first.ends, second.ends) == ([None], [None])


async def test_it_waits_for_futures_and_tasks() -> None:
    """For a result, for an exception, for a task, and for one turn of the loop."""
    loop = asyncio.get_running_loop()
    good, bad = loop.create_future(), loop.create_future()

    async def soon() -> str:
        await asyncio.sleep(0.001)
        return "task"

    async def handler(said: list[str]) -> None:
        said.append(await good)
        try:
            await bad
        except ValueError as error:
            said.append(str(error))
        said.append(await loop.create_task(soon()))
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        said.append(await asyncio.to_thread(str, "thread"))

    run = Run(handler)
    good.set_result("good")
    bad.set_exception(ValueError("bad"))
    assert run.said == []
    assert await run.end() is None
    assert run.said == ["good", "bad", "task", "thread"]


async def test_a_bare_sleep_lets_others_run() -> None:
    """`sleep(0)` is one turn of the loop."""
    turn: list[str] = []

    async def handler(_: list[str]) -> None:
        turn.append("before")
        await asyncio.sleep(0)
        turn.append("after")

    asyncio.get_running_loop().call_soon(turn.append, "other")
    run = Run(handler)
    assert await run.end() is None
    assert turn == ["before", "other", "after"]


# --- ending ---


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), asyncio.CancelledError()])
@pytest.mark.parametrize("when", ["at once", "after a signal", "after a future"])
async def test_what_it_raises_reaches_its_end(error: BaseException, when: str) -> None:
    """Once, and itself; whoever fired the signal does not meet it."""
    signal, future = Signal(), asyncio.get_running_loop().create_future()

    async def handler(_: list[str]) -> None:
        if when == "after a signal":
            await signal
        elif when == "after a future":
            await future
        raise error

    run = Run(handler)
    signal.fire()
    future.set_result(None)
    assert await run.end() is error


# --- cancelling ---


async def test_cancelled_while_it_waits_for_a_signal() -> None:
    """At the loop's next turn, not inside `cancel`; the signal then wakes nobody."""
    signal = Signal()

    async def handler(said: list[str]) -> None:
        try:
            await signal
        finally:
            said.append("cleaned")

    run = Run(handler)
    run.steps.cancel()
    assert run.said == []
    assert isinstance(await run.end(), asyncio.CancelledError)
    assert run.said == ["cleaned"]
    signal.fire()
    await turns()
    assert len(run.ends) == 1


async def test_cancelled_while_it_waits_for_a_future() -> None:
    """The future is cancelled with it, as a task would do."""
    future = asyncio.get_running_loop().create_future()

    async def handler(_: list[str]) -> None:
        await future

    run = Run(handler)
    run.steps.cancel()
    assert isinstance(await run.end(), asyncio.CancelledError)
    assert future.cancelled()


async def test_cancelled_while_a_shielded_future_goes_on() -> None:
    """What is shielded is not cancelled."""
    future = asyncio.get_running_loop().create_future()

    async def handler(_: list[str]) -> None:
        await asyncio.shield(future)

    run = Run(handler)
    run.steps.cancel()
    assert isinstance(await run.end(), asyncio.CancelledError)
    assert not future.cancelled()


async def test_cancelled_by_itself_in_the_middle_of_a_step() -> None:
    """The step goes on to its next wait, and ends there."""
    signal, here = Signal(), asyncio.get_running_loop().create_future()

    async def handler(said: list[str]) -> None:
        await here
        run.steps.cancel()
        said.append("went on")
        await signal
        said.append("never")

    run = Run(handler)
    here.set_result(None)
    assert isinstance(await run.end(), asyncio.CancelledError)
    assert run.said == ["went on"]


async def test_cancelled_in_its_turn_of_the_loop() -> None:
    """After `sleep(0)` it ends where it next waits, for whatever that is."""
    for waits_for in (Signal, asyncio.get_running_loop().create_future):
        next_wait = waits_for()

        async def handler(said: list[str], next_wait: Any = next_wait) -> None:
            await asyncio.sleep(0)
            await next_wait
            said.append("never")

        run = Run(handler)
        run.steps.cancel()
        assert isinstance(await run.end(), asyncio.CancelledError)
        assert run.said == []


async def test_cancelled_when_the_news_is_there_already() -> None:
    """A future that is done cannot be cancelled: its result is taken, and the next wait ends."""
    loop = asyncio.get_running_loop()
    future, after = loop.create_future(), Signal()

    async def handler(said: list[str]) -> None:
        said.append(await future)
        await after
        said.append("never")

    run = Run(handler)
    run.steps.cancel()
    future.set_result("result")
    assert isinstance(await run.end(), asyncio.CancelledError)
    assert run.said == ["result"]


async def test_cancelled_and_fired_in_one_turn() -> None:
    """Who fires first wins: the handler ends well, and is told so once."""
    signal = Signal()

    async def handler(_: list[str]) -> None:
        await signal

    run = Run(handler)
    run.steps.cancel()
    signal.fire()
    assert await run.end() is None


async def test_cancelled_after_its_end() -> None:
    """That changes nothing."""

    async def handler(_: list[str]) -> None:
        pass

    run = Run(handler)
    run.steps.cancel()
    assert await run.end() is None


async def test_cancelled_twice() -> None:
    """The second one hits the cleaning up, as it would in a task; the end is told once."""
    never, cleaning = Signal(), Signal()

    async def handler(said: list[str]) -> None:
        try:
            await never
        finally:
            said.append("cleaning")
            await cleaning
            said.append("cleaned")

    run = Run(handler)
    run.steps.cancel()
    run.steps.cancel()
    assert isinstance(await run.end(), asyncio.CancelledError)
    assert run.said == ["cleaning"]


async def test_a_handler_may_outlive_a_cancellation() -> None:
    """It cleans up, waits again and ends well; nothing of the cancellation is left over."""
    never, last = Signal(), Signal()

    async def handler(said: list[str]) -> None:
        try:
            await never
        except asyncio.CancelledError:
            said.append("caught")
        await last
        said.append("done")

    run = Run(handler)
    run.steps.cancel()
    await turns()
    assert (run.said, run.ends) == (["caught"], [])
    last.fire()
    assert await run.end() is None
    assert run.said == ["caught", "done"]
