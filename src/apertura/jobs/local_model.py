"""Starts, watches and ends the embedded model: one child process, `apertura.jobs.local_server`.

What it is not: a client. It asks the child for nothing but `/health`; calls reach the model as they
reach any provider, through the address and key in `LocalEndpoint`. These stay the same for the life
of this process, also when the child dies and is started again.

The rule that keeps it honest: the child is never left alone. It ends when its standard input does,
which the kernel closes for a parent that was killed, and `stop` returns only once it is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from apertura.errors import Unavailable
from apertura.jobs.local_server import EXIT_MISSING, HOST, KEY_VARIABLE, MODEL

Tell = Callable[[str], None]
"""Receives one line of plain text for the operator."""

START_TIMEOUT = 60.0
PROBE_EVERY = 0.05
TELL_EVERY = 0.5
STOP_PATIENCE = 2.0
DEATHS_ALLOWED = 5
DEATHS_WINDOW = 60.0
FIRST_BACKOFF = 0.5
"""All in seconds, but for the count."""

_TAIL = 2000
"""Bytes kept of what the child last said on its standard error."""
_ENVIRONMENT = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR"),
    *("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH"),
)
"""All that the child sees of our environment: it has no use for a secret or a provider's key."""


def _say_nothing(_line: str) -> None:
    pass


class LocalEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where the local model answers. `base_url` ends in `/v1`; the key is new in each process."""

    base_url: str
    api_key: str
    models: tuple[str, ...]

    def __repr__(self) -> str:
        return f"LocalEndpoint(base_url={self.base_url!r}, models={self.models!r})"


class LocalModel:
    """One embedded model. `start` it once, `stop` it once; both may be awaited from any task.

    `on_trouble` is told when the child died and what follows: a restart, or none any more.
    `command` replaces the child's command line, which is then followed by `--port N`.
    """

    def __init__(
        self,
        *,
        threads: int = 1,
        log: Path | None = None,
        on_trouble: Tell = _say_nothing,
        command: Sequence[str] | None = None,
        first_backoff: float = FIRST_BACKOFF,
    ) -> None:
        ours = [sys.executable, "-m", "apertura.jobs.local_server", "--threads", str(threads)]
        self._command = [*(command or ours), *(["--log", str(log)] if log else [])]
        self._on_trouble = on_trouble
        self._first_backoff = first_backoff
        self._key = secrets.token_urlsafe(24)
        self._port = 0
        self._child: asyncio.subprocess.Process | None = None
        self._last_words: asyncio.Task[str] | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id; None when none was started."""
        return self._child.pid if self._child else None

    async def start(
        self, on_progress: Tell = _say_nothing, within: float = START_TIMEOUT
    ) -> LocalEndpoint:
        """Returns once the model answers.

        Raises `Unavailable`, code `local_model_missing` (not installed) or `local_model_failed`
        (it ended by itself, or did not answer within `within` seconds). No child is left then,
        nor when this task is cancelled.
        """
        self._port = _free_port()
        try:
            await self._launch(on_progress, within)
        except BaseException:
            await self.stop()
            raise
        self._keeper = asyncio.create_task(self._keep(), name="local-model")
        return LocalEndpoint(
            base_url=f"http://{HOST}:{self._port}/v1", api_key=self._key, models=(MODEL,)
        )

    async def stop(self) -> None:
        """Ends the child: closes its input, waits 2 s, then asks (SIGTERM), then kills."""
        if self._keeper:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        await self._end()

    async def _launch(self, tell: Tell, within: float) -> None:
        """One child, from its start to its first good answer; `_end` must follow a failure."""
        try:
            self._child = child = await asyncio.create_subprocess_exec(
                *self._command,
                "--port",
                str(self._port),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env=_environment(self._key),
            )
            self._last_words = asyncio.create_task(_tail(child.stderr))
            async with asyncio.timeout(within):
                await self._until_healthy(child, tell)
        except TimeoutError:
            message = f"The local model did not answer within {within:g} seconds."
            raise Unavailable(message, code="local_model_failed") from None
        except OSError as error:
            message = f"The local model's process could not be started: {error}."
            raise Unavailable(message, code="local_model_failed") from error

    async def _until_healthy(self, child: asyncio.subprocess.Process, tell: Tell) -> None:
        clock = asyncio.get_running_loop().time
        begun = told = clock()
        # The child must still live after it answered: another program may have taken its port.
        while not (await _healthy(self._port) and child.returncode is None):
            if child.returncode is not None:
                raise await self._reason(child.returncode)
            if clock() - told >= TELL_EVERY:
                told = clock()
                tell(f"The local model is loading ({told - begun:.1f} s).")
            await asyncio.sleep(PROBE_EVERY)
        tell(f"The local model is ready ({clock() - begun:.1f} s).")

    async def _reason(self, code: int) -> Unavailable:
        said = await self._last_words if self._last_words else ""
        missing = code == EXIT_MISSING
        return Unavailable(
            said.strip() or f"The local model ended by itself (exit code {code}).",
            code="local_model_missing" if missing else "local_model_failed",
        )

    async def _keep(self) -> None:
        """Starts the child again when it dies, up to a number of times within a minute."""
        deaths: list[float] = []
        why = await self._death()
        while True:
            now = asyncio.get_running_loop().time()
            deaths = [*(death for death in deaths if death > now - DEATHS_WINDOW), now]
            if len(deaths) > DEATHS_ALLOWED:
                self._on_trouble(f"{why} It stays down: it died {len(deaths)} times in a minute.")
                return
            delay = self._first_backoff * 2 ** (len(deaths) - 1)
            self._on_trouble(f"{why} It is started again in {delay:g} s.")
            await asyncio.sleep(delay)
            try:
                await self._launch(_say_nothing, START_TIMEOUT)
                why = await self._death()
            except Unavailable as error:
                await self._end()
                why = error.message

    async def _death(self) -> str:
        """Waits for the end of the running child and says how it ended."""
        code = await self._child.wait() if self._child else None
        await self._end()
        return f"The local model ended by itself (exit code {code})."

    async def _end(self) -> None:
        """Sees the child out; does nothing when there is none. May be repeated if cancelled."""
        child = self._child
        if child is None:
            return
        if child.stdin:
            child.stdin.close()
        for harder in (child.terminate, child.kill):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(child.wait(), STOP_PATIENCE)
                break
            with contextlib.suppress(ProcessLookupError):
                harder()
        await child.wait()
        if self._last_words:
            await asyncio.wait([self._last_words])  # unlike a plain await, never cancels it
        self._child = None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _environment(key: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return {**kept, KEY_VARIABLE: key}


async def _tail(stream: asyncio.StreamReader | None) -> str:
    """What was last said on `stream`, once it ended; reads always, so that nobody blocks."""
    said = b""
    while stream and (piece := await stream.read(4096)):
        said = (said + piece)[-_TAIL:]
    return said.decode(errors="replace")


async def _healthy(port: int) -> bool:
    """Whether `GET /health` answers 200. llama.cpp says 503 while it loads."""
    try:
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(f"GET /health HTTP/1.1\r\nHost: {HOST}\r\n".encode())
                writer.write(b"Connection: close\r\n\r\n")
                return (await reader.readline()).split(b" ")[1:2] == [b"200"]
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
