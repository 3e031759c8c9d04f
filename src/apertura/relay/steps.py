"""Running a handler without a task: a coroutine in steps, woken by whoever has what it waits for.

An asyncio task costs a call three turns of the event loop (start, wake, finish), about a tenth of
all that a short call costs us. `Steps` runs the coroutine at once, up to where it waits; a `Signal`
that fires runs its next step right there, inside the read that brought the news. asyncio's own
futures may be waited for as well; that is for what is rare (a database read, a new connection).

What it is not: a task. `asyncio.timeout` and task groups need one: make a task of what uses them
and wait for that. The rule that keeps it honest: however it ends, `on_end` is told, once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any


class Signal:
    """Something that will happen once; one coroutine may wait for it."""

    fired = False
    waiter: Callable[[], None] | None = None

    def __await__(self) -> Generator[Signal, None, None]:
        if not self.fired:
            yield self

    def fire(self) -> None:
        """It has happened. A second time says nothing new."""
        if not self.fired:
            self.fired = True
            waiter, self.waiter = self.waiter, None
            if waiter is not None:
                waiter()


class Steps:
    """One coroutine on its way."""

    _waiting: Signal | asyncio.Future[Any] | None = None
    _cancelled = False
    _running = False

    def __init__(
        self,
        coroutine: Coroutine[Any, None, None],
        on_end: Callable[[BaseException | None], None],
    ) -> None:
        self._coroutine, self._on_end = coroutine, on_end

    def step(self, news: object = None, error: BaseException | None = None) -> None:
        """Go on to the next wait, or the end. `news` is what asyncio's futures call back with."""
        del news
        self._running, self._waiting = True, None
        try:
            coroutine = self._coroutine
            waiting = coroutine.send(None) if error is None else coroutine.throw(error)
        except StopIteration:
            self._on_end(None)
        except BaseException as end:  # noqa: BLE001  # as a task keeps it, for whoever asks
            self._on_end(end)
        else:
            self._running = False
            if waiting.__class__ is Signal and not self._cancelled:
                self._waiting, waiting.waiter = waiting, self.step
            else:
                self._wait(waiting)

    def cancel(self, msg: object = None) -> None:
        """End it where it waits, with CancelledError, at the loop's next turn: as tasks are."""
        del msg  # a task would take it
        asyncio.get_running_loop().call_soon(self._cancel)

    def _cancel(self) -> None:
        waiting = self._waiting
        if self._running or waiting is None:
            self._cancelled = True  # in the middle of a step, or ended: at the next wait, if any
        elif isinstance(waiting, Signal):
            waiting.waiter = None
            self.step(error=asyncio.CancelledError())
        elif not waiting.cancel():
            self._cancelled = True  # what it waits for is there already: at the next wait

    def _wait(self, waiting: Any) -> None:
        if waiting.__class__ is Signal:
            self._waiting = waiting
            waiting.waiter = self.step
        elif waiting is None:  # a bare yield, as of asyncio.sleep(0)
            asyncio.get_running_loop().call_soon(self.step)
            return
        else:
            waiting._asyncio_future_blocking = False  # noqa: SLF001  # as a task does
            self._waiting = waiting
            waiting.add_done_callback(self.step)
        if self._cancelled:
            self._cancelled = False
            self._cancel()
