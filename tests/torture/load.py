"""Callers who notice everything: what was asked, what came back, and how far it came.

Each has a key and a model of its own and makes one call after the other, so that the provider's
side, the caller's side and the books can be laid beside each other call by call. Each call has a
name ("rich-2/17"), which is its prompt, so that the wall sees it too.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.wall import Call, Talk, Wall
from tests.wall.behaviours import ok

PATIENCE = 60
INPUT, OUTPUT = 2_500, 10_000
"""Nano-dollars for a token: $2.50 and $10 per million."""
DONE = b"data: [DONE]\n\n"
PAUSE = 0.03


async def honest(talk: Talk, call: Call) -> None:
    """A good answer, no longer than was asked for."""
    bounds = [call.body.get(name) for name in ("max_tokens", "max_completion_tokens")]
    words = min([int(call.option("chunks", 3)), *(bound for bound in bounds if bound)])
    call.options["chunks"] = str(words)
    await ok(talk, call)


def cost_of(call: Call) -> int:
    """What a call costs that the wall answered whole."""
    return int(call.option("input", 9)) * INPUT + int(call.option("chunks", 3)) * OUTPUT


@dataclass(frozen=True)
class Role:
    """A kind of caller. `org`: whose money; `quota`: of its key, in nano-dollars."""

    name: str
    org: str = "rich"
    behaviour: str = "honest?delay=0.002"
    stream: bool | None = None
    """None: now so, now so."""
    max_tokens: int | None = None
    quota: int | None = None
    leaves: bool = False
    """Hangs up in the middle of streams."""
    by_plan: bool = False
    """Its key is a subscription's: its calls take credits while there are any, then money."""

    @property
    def may_be_refused(self) -> bool:
        """Its money may end."""
        return self.org != "rich" or self.quota is not None

    @property
    def fails(self) -> bool:
        """Its provider does."""
        return not self.behaviour.startswith("honest")


@dataclass
class Attempt:
    """One call, as its caller saw it."""

    name: str
    stream: bool
    begun: float
    ended: float = 0
    status: int = 0
    id: str = ""
    """As the reply's head says; of one that never came: none."""
    code: str = ""
    retry_after: str = ""
    whole: bool = False
    """The caller has all of a good answer."""
    left: bool = False
    """It hung up by its own will."""


@dataclass
class Caller:
    """Call after call with one key for one model, until told to stop or nobody is there."""

    role: Role
    model: str
    key: str
    key_id: str
    org_id: str
    chance: random.Random
    attempts: list[Attempt] = field(default_factory=list)
    count: int = 0
    stopping: bool = False

    async def run(self, url: str) -> None:
        while not self.stopping:
            stream = self.role.stream
            stream = self.chance.random() < 0.5 if stream is None else stream
            self.count += 1
            attempt = Attempt(f"{self.model}/{self.count}", stream, time.monotonic())
            self.attempts.append(attempt)
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._ask(url, attempt)
            except (OSError, EOFError):
                return
            finally:
                attempt.ended = time.monotonic()
            if attempt.status >= 400:
                await asyncio.sleep(PAUSE)

    async def _ask(self, url: str, attempt: Attempt) -> None:
        place = urlsplit(url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        try:
            writer.write(self.request(attempt.name, stream=attempt.stream))
            await self.listen(reader, attempt)
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    def request(self, name: str, *, stream: bool) -> bytes:
        """A call on the wire."""
        messages = [{"role": "user", "content": name}]
        body = {"model": self.model, "messages": messages, "stream": stream}
        if self.role.max_tokens:
            body["max_tokens"] = self.role.max_tokens
        data = json.dumps(body).encode()
        lines = ["POST /v1/chat/completions HTTP/1.1", "host: gateway", "connection: close"]
        lines += [f"authorization: Bearer {self.key}", f"content-length: {len(data)}", "", ""]
        return "\r\n".join(lines).encode() + data

    async def listen(self, reader: asyncio.StreamReader, attempt: Attempt) -> None:
        """Read the reply, as far as this caller cares to. Raises: EOFError, OSError."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip()
        first, *lines = head.split("\r\n")
        headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
        attempt.status = int(first.split()[1])
        attempt.id = headers.get("x-request-id", "")
        attempt.retry_after = headers.get("retry-after", "")
        if "content-length" in headers:
            body = await reader.readexactly(int(headers["content-length"]))
            attempt.whole = attempt.status == 200
            if not attempt.whole:
                attempt.code = str(json.loads(body)["error"]["code"])
            return
        patience = self.chance.randrange(1, 12) if self.role.leaves else -1
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
            if body.endswith(DONE):
                attempt.whole = True
            patience -= 1
            if patience == 0 and not attempt.whole:
                attempt.left = True
                return


async def until_all_are_told(callers: Sequence[Caller], statuses: set[int]) -> None:
    """Waits until each of them is told one of these, in a call that begins from now on."""
    since = [len(caller.attempts) for caller in callers]
    async with asyncio.timeout(PATIENCE):
        for caller, begin in zip(callers, since, strict=True):
            while not any(a.ended and a.status in statuses for a in caller.attempts[begin:]):
                await asyncio.sleep(0.01)


def take_calls(wall: Wall, names: set[str]) -> dict[str, Call]:
    """What reached the provider of the calls of these names; the wall forgets them.

    Raises: AssertionError: one reached it twice.
    """
    found: dict[str, Call] = {}
    for model, calls in list(wall._calls.items()):
        mine = [call for call in calls if name_of(call) in names]
        for call in mine:
            assert name_of(call) not in found, f"{name_of(call)} reached the provider twice"
            found[name_of(call)] = call
        wall._calls[model] = [call for call in calls if name_of(call) not in names]
    wall.hangups.clear()
    wall.talks[:] = [talk for talk in wall.talks if not talk.over]
    return found


def name_of(call: Call) -> str:
    """What its caller calls it."""
    return str(call.body["messages"][0]["content"])
