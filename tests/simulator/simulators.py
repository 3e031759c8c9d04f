"""Simulators of providers, as processes: foreign servers that speak the providers' own formats.

aimock (npm, set up by `npm ci` in `tests/clients/js`) answers from `fixtures.json`, so a test knows
each word and each token; llmock (PyPI, installed beside the foreign clients) calls the tools that
it is offered and answers in its own words. What this is not: a fake of ours. Nothing of either is
imported, and where one is not installed it is simply not there.

The rule that keeps it honest: a test that needs one says so, and is skipped with the reason.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SCRIPTS = FOLDER.parent / "clients" / "js"
"""Where `npm ci` puts the foreign clients and aimock."""
AIMOCK = SCRIPTS / "node_modules" / "@copilotkit" / "aimock"
LLMOCK = Path(sys.executable).with_name("llmock")
FIXTURES = FOLDER / "fixtures.json"
KEY = "simulator-key"
"""What aimock asks for, in the header of each format; it refuses all else."""
INPUT_PRICE, OUTPUT_PRICE = "1", "2"
"""Dollars for a million tokens."""
READY_SECONDS = 30
STOP_SECONDS = 10


@dataclass(frozen=True)
class Place:
    """One format at one simulator, as the gateway's configuration names it."""

    simulator: str
    dialect: str
    origin: str
    base_url: str
    upstream_model: str

    @property
    def model(self) -> str:
        """What callers ask for."""
        return model(self.simulator, self.dialect)


SIMULATORS = ("aimock", "llmock")
KINDS = {
    "openai_chat": "openai",
    "openai_responses": "openai",
    "anthropic_messages": "anthropic",
    "gemini": "gemini",
}
"""The formats, and the kind of provider that speaks each."""
MODELS = {
    "openai_chat": "gpt-4o",
    "openai_responses": "gpt-5",
    "anthropic_messages": "claude-opus-4-6",
    "gemini": "gemini-2.5-pro",
}
"""Names that the simulators know: some of what they do depends on them."""
EMBEDDER = "text-embedding-3-small"
RANKER = "aimock-ranker"
"""A model that reranks, at aimock too."""
PATHS = {
    "aimock": {
        "openai_chat": "/v1",
        "openai_responses": "/v1",
        "anthropic_messages": "/v1",
        "gemini": "/v1beta",
    },
    "llmock": {
        "openai_chat": "/v1",
        "openai_responses": "/v1",
        "anthropic_messages": "/anthropic/v1",
        "gemini": "/gemini/v1beta",
    },
}


def model(simulator: str, dialect: str) -> str:
    """The name of the model that answers in `dialect` at `simulator`."""
    return f"{simulator}-{dialect.replace('_', '-')}"


def missing(simulator: str) -> str:
    """Why it cannot be started here; empty if it can."""
    if simulator == "llmock":
        return "" if LLMOCK.exists() else "llmock is not installed beside this Python"
    if shutil.which("node") is None:
        return "node is not installed"
    return "" if AIMOCK.exists() else "`npm ci` has not been run in tests/clients/js"


@contextlib.contextmanager
def simulators(folder: Path) -> Iterator[list[Place]]:
    """All that can be started here, for as long as the block lasts; output goes to `folder`."""
    with contextlib.ExitStack() as stack:
        started = [
            (name, stack.enter_context(_process(name, folder)))
            for name in SIMULATORS
            if not missing(name)
        ]
        for name, port in started:
            _wait_until_ready(name, port, folder)
        yield [_place(name, dialect, port) for name, port in started for dialect in KINDS]


def _place(name: str, dialect: str, port: int) -> Place:
    origin = f"http://127.0.0.1:{port}"
    return Place(name, dialect, origin, origin + PATHS[name][dialect], MODELS[dialect])


def configuration(places: list[Place]) -> str:
    """The `apertura.toml` that makes each place a provider with one model."""
    return "\n".join(text for place in places for text in _texts(place))


def _texts(place: Place) -> Iterator[str]:
    name = place.model
    yield _provider(name, KINDS[place.dialect], place.dialect, place.base_url)
    yield _offer(name, "chat", place.upstream_model)
    if place.dialect == "openai_chat":
        yield _offer(name, "embeddings", EMBEDDER)
    if name == model("aimock", "openai_chat"):
        yield _provider(RANKER, "compatible", "openai_chat", f"{place.origin}/v2")
        yield _offer(RANKER, "rerank", "rerank-v3.5")


def _provider(name: str, kind: str, dialect: str, base_url: str) -> str:
    return f"""
[[providers]]
name = "{name}"
kind = "{kind}"
dialect = "{dialect}"
base_url = "{base_url}"
api_key = "{KEY}"
"""


def _offer(name: str, kind: str, upstream_model: str) -> str:
    return f"""
[[offers]]
model = "{name}"
provider = "{name}"
upstream_model = "{upstream_model}"
kind = "{kind}"
input_usd_per_million = "{INPUT_PRICE}"
output_usd_per_million = "{OUTPUT_PRICE}"
"""


@contextlib.contextmanager
def _process(name: str, folder: Path) -> Iterator[int]:
    port = _free_port()
    with (folder / f"{name}.txt").open("wb") as output:
        process = subprocess.Popen(
            _command(name, port),
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield port
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(STOP_SECONDS)


def _command(name: str, port: int) -> list[str]:
    if name == "llmock":
        return [str(LLMOCK), "serve", "--port", str(port), "--log-level", "warning"]
    return ["node", str(SCRIPTS / "aimock.mjs"), str(port), str(FIXTURES), KEY]


def _environment() -> dict[str, str]:
    """Ours, without what a developer's shell may say to either of them."""
    foreign = ("AIMOCK_", "LLMOCK_", "NODE_OPTIONS")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def _wait_until_ready(name: str, port: int, folder: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if _is_healthy(port):
            return
        time.sleep(0.05)
    said = (folder / f"{name}.txt").read_text(errors="replace")
    raise AssertionError(f"{name} did not start:\n{said[-4000:]}")


def _is_healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
            return True
    except (OSError, urllib.error.URLError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
