"""The gateway as its users run it: a process of its own, with the real local model behind it.

It is started and stopped through the installed command only, and what a test knows of it is what it
prints. The rule that keeps it honest: nothing here imports the product.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COMMAND = os.environ.get("APERTURA_BIN") or str(ROOT / ".venv" / "bin" / "apertura")
READY_SECONDS = 90
STOP_SECONDS = 60
STARTS = 3
UNLIMITED = {
    "APERTURA_LIMIT_PER_ADDRESS": "off",
    "APERTURA_LIMIT_PER_KEY": "1000000/60",
    "APERTURA_LIMIT_PER_MODEL": "1000000/60",
}


class Gateway:
    """A running gateway: where it is, its first key, and its command line."""

    def __init__(self, data: Path, output: Path, process: subprocess.Popen[bytes]) -> None:
        self.data, self.output, self.process = data, output, process
        self.root = ""
        self.key = ""
        self.model = ""

    @property
    def base_url(self) -> str:
        """With `/v1`, as it is printed."""
        return f"{self.root}/v1"

    def command(self, *arguments: str) -> Any:
        """What `apertura ... --json` says, run beside the server on the same data."""
        line = [COMMAND, *arguments, "--json", "--data", str(self.data)]
        done = subprocess.run(line, env=environment({}), capture_output=True, check=True)
        return json.loads(done.stdout)

    def new_key(self, *options: str) -> tuple[str, str]:
        """Another key of the first organization: its id and the key."""
        made = self.command("keys", "create", "--org", "dev", "--name", "extra", "--dev", *options)
        return made["id"], made["key"]

    def get(self, path: str, key: str, **headers: str) -> Any:
        """The JSON at `path` below `/v1`, asked without any SDK."""
        head = {"Authorization": f"Bearer {key}", **headers}
        request = urllib.request.Request(self.base_url + path, headers=head)
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)

    def said(self) -> str:
        """Everything that it has printed."""
        return self.output.read_text(errors="replace")

    def wait_until_ready(self) -> bool:
        """Whether it serves; False if it ended, or was not ready in time."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if '"serving"' in self.said():
                self._read_welcome()
                return True
            time.sleep(0.05)
        return False

    def stop(self) -> None:
        """SIGTERM; it must end by itself, cleanly, and take its children with it."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(STOP_SECONDS)
        assert code == 0, f"exit code {code} after SIGTERM:\n{self.said()[-4000:]}"
        assert not self.has_processes(), "a child outlived the gateway"
        assert "Traceback" not in self.said(), self.said()[-4000:]

    def has_processes(self) -> bool:
        """Whether anything of its process group (it leads one of its own) still runs."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> None:
        """The end of a test that failed: nothing stays behind."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(STOP_SECONDS)

    def _read_welcome(self) -> None:
        shown = {}
        for line in self.said().splitlines():
            if line.startswith("  "):
                name, _, value = line.strip().partition("   ")
                shown[name] = value.strip().partition(" ")[0]
        assert shown["Base URL"].endswith("/v1")
        self.root = shown["Base URL"].removesuffix("/v1")
        self.key, self.model = shown["API key"], shown["Model"]


@contextlib.contextmanager
def running(folder: Path, settings: Mapping[str, str] = UNLIMITED) -> Iterator[Gateway]:
    """A gateway for as long as the block lasts; leaving the block checks how it ends."""
    gateway = _started(folder, settings)
    try:
        yield gateway
        gateway.stop()
    finally:
        gateway.kill()


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Ours, without settings that the shell of a developer may hold."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("APERTURA_")}
    return {**kept, **settings}


def _started(folder: Path, settings: Mapping[str, str]) -> Gateway:
    """A ready gateway on a free port; another process may take the port first, so try again."""
    for attempt in range(STARTS):
        data, output = folder / f"data-{attempt}", folder / f"output-{attempt}.txt"
        line = [COMMAND, "serve", "--dev", "--port", str(_free_port()), "--data", str(data)]
        with output.open("wb") as file:
            process = subprocess.Popen(
                line,
                env=environment(settings),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        gateway = Gateway(data, output, process)
        if gateway.wait_until_ready():
            return gateway
        gateway.kill()
    raise AssertionError(f"the gateway did not start:\n{gateway.said()[-4000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
