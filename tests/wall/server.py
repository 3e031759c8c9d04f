"""The wall itself: it listens on a port of its own, keeps the records and hands out the faults."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, Self, cast

from tests.wall.behaviours import BEHAVIOURS, Behaviour
from tests.wall.speech import dump, error
from tests.wall.talk import Call, Gone, Hangup, Talk


class Wall:
    """An upstream on 127.0.0.1. A test's own behaviour may raise: leaving the wall raises it too.

    `hangups`: each end of a connection that the client brought about, in order.
    `lost`: requests that a connection took and dropped on purpose (`close-on-reuse`).
    """

    def __init__(self) -> None:
        self.behaviours: dict[str, Behaviour] = dict(BEHAVIOURS)
        self.hangups: list[Hangup] = []
        self.lost: list[Call] = []
        self.talks: list[Talk] = []
        self._calls: dict[str, list[Call]] = defaultdict(list)
        self._scripts: dict[str, deque[str]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._failures: list[Exception] = []
        self._server: asyncio.Server
        self.port = 0

    @property
    def url(self) -> str:
        """The base URL that an offer is given, `/v1` included."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def connections(self) -> int:
        """How many connections were ever made."""
        return len(self.talks)

    def calls(self, model: str | None = None) -> list[Call]:
        """The requests for that model, options and all, in order; of every model without one."""
        if model is not None:
            return list(self._calls[model])
        return sorted((call for each in self._calls.values() for call in each), key=_arrival)

    def script(self, model: str, *behaviours: str) -> None:
        """What the next calls for `model` meet, one after the other; then `ok`, for good."""
        for name in behaviours:
            assert name.partition("?")[0] in self.behaviours, name
        self._scripts[model] = deque(behaviours)

    async def hangup(self, model: str, within: float = 5) -> Hangup:
        """Waits until the client hangs up on an unanswered call for `model`."""
        async with asyncio.timeout(within):
            while True:
                for hangup in self.hangups:
                    if hangup.call and hangup.call.model == model:
                        return hangup
                await asyncio.sleep(0.005)

    async def arrival(self, model: str, within: float = 5) -> Call:
        """Waits until a call for `model` has arrived; the newest."""
        async with asyncio.timeout(within):
            while not self._calls[model]:
                await asyncio.sleep(0.005)
        return self._calls[model][-1]

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._line, "127.0.0.1", 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        for talk in self.talks:
            talk.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        if self._failures and failure is None:
            raise self._failures[0]

    # --- one connection ---

    def _line(self) -> _Line:
        talk = Talk(len(self.talks), self.hangups)
        self.talks.append(talk)
        return _Line(talk, self._converse)

    async def _converse(self, talk: Talk) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            while not talk.over and (call := await talk.listen()):
                if not await self._answer(talk, call):
                    break
        except (Gone, asyncio.CancelledError):  # it is only cancelled when the wall is left
            pass
        except Exception as failure:  # noqa: BLE001 - kept for the test that caused it
            self._failures.append(failure)
        finally:
            talk.close()
            self._tasks.discard(task)

    async def _answer(self, talk: Talk, call: Call) -> bool:
        """Whether another request may follow on this connection."""
        if talk.doomed:
            self.lost.append(call)
            return False
        self._calls[call.model].append(call)
        behaviour = self._behaviour(call)
        if behaviour:
            await behaviour(talk, call)
        else:
            unknown = error(f"The model {call.model} does not exist", "invalid_request_error")
            await talk.whole(404, dump(unknown))
        call.done_at = time.monotonic()
        talk.call = None
        return call.headers.get("connection", "").lower() != "close"

    def _behaviour(self, call: Call) -> Behaviour | None:
        script = self._scripts.get(call.model)
        name = call.model if script is None else script.popleft() if script else "ok"
        if script is not None:
            call.take_options(name)
        return self.behaviours.get(name.partition("?")[0])


class _Line(asyncio.StreamReaderProtocol):
    """Notes when the client leaves, at the moment the event loop learns of it."""

    def __init__(self, talk: Talk, converse: Callable[[Talk], Coroutine[Any, Any, None]]) -> None:
        self._talk = talk

        async def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            talk.writer = writer
            await converse(talk)

        super().__init__(talk.reader, connected)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._talk.transport = cast("asyncio.Transport", transport)  # uvloop's is of no such class
        super().connection_made(transport)

    def eof_received(self) -> bool | None:
        self._talk.left("eof")
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._talk.left("reset" if isinstance(exc, ConnectionError) else "closed")
        super().connection_lost(exc)


def _arrival(call: Call) -> float:
    return call.at


@contextlib.contextmanager
def refused() -> Iterator[str]:
    """A base URL at which nobody listens; the port stays taken, so that nobody else will."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{holder.getsockname()[1]}/v1"


@contextlib.contextmanager
def deaf() -> Iterator[str]:
    """A base URL whose port never completes a connection: its queue is full (Linux)."""
    with contextlib.ExitStack() as open_sockets:
        listener = open_sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = open_sockets.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
