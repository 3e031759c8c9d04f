"""`apertura serve`: run the gateway until a signal.

uvicorn with uvloop and our fast lane; a first SIGINT or SIGTERM lets running calls end within the
grace period, a second one does not wait. With `--dev` it is also the first run: see `dev`.

The rule that keeps it honest: whatever was started here is stopped here, in reverse.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
import uvloop

from apertura.app import opened
from apertura.cli import dev
from apertura.cli.demo_payments import demo_payments
from apertura.cli.shared import AddSettings, Subparsers
from apertura.relay.fastlane import FastLane
from apertura.settings import Settings, SettingsError
from apertura.telemetry import log

BACKLOG = 4096
GC_THRESHOLDS = (20_000, 20, 50)
"""A call leaves almost no cycles behind; Python's defaults look for them every few calls."""


def add(subparsers: Subparsers, add_settings: AddSettings) -> None:
    """The command's name and flags."""
    parser = subparsers.add_parser("serve", help="run the gateway")
    add_settings(parser, None)
    parser.set_defaults(run=run)


def run(settings: Settings, _: argparse.Namespace) -> int:
    """Serve until stopped."""
    if settings.dev:
        settings = dev.with_secret(settings)
    if not settings.secret:
        raise SettingsError(
            "APERTURA_SECRET is not set: the root secret, 32 bytes or more, from which all others "
            "are derived. `openssl rand -hex 32` makes one; --dev makes one up."
        )
    _raise_open_files()
    with contextlib.closing(_listen(settings)) as listening:
        uvloop.run(_serve(settings, listening))
    return 0


async def _serve(settings: Settings, listening: socket.socket) -> None:
    async with contextlib.AsyncExitStack() as stack:
        local = await stack.enter_async_context(dev.local_model(settings))
        url = _url(settings.host, listening.getsockname()[1])
        settings = await stack.enter_async_context(demo_payments(settings, url))
        application = await stack.enter_async_context(
            opened(
                settings,
                environment=os.environ,
                providers=local.providers,
                offers=local.offers,
            )
        )
        listening.listen(BACKLOG)  # who reads that we serve may knock at once
        if settings.dev:
            await dev.welcome(settings, application.parts.database, url, local)
        server = Server(application, settings)
        gc.freeze()  # what start-up made will stay: not to be looked through again and again
        gc.set_threshold(*GC_THRESHOLDS)
        with server.capture_signals():  # before we say that we serve: a stop may come at once
            log("serving", url=url, models=len(application.parts.current.routes.catalog.models))
            await server.serve(sockets=[listening])
        log("stopped")


class Server(uvicorn.Server):
    """uvicorn's server, with signals that end in an orderly way and not in the default one."""

    def __init__(self, application: Any, settings: Settings) -> None:
        config = uvicorn.Config(
            application,
            http=FastLane(application.lane_rules),  # type: ignore[arg-type]  # any callable will do
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=round(settings.grace),
            backlog=BACKLOG,
        )
        super().__init__(config)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The first signal stops accepting and waits for running calls, the second does not."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, number)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def _stop(self, number: int) -> None:
        if self.should_exit:
            self.force_exit = True
            for steps in list(self.server_state.tasks):
                steps.cancel()
        self.should_exit = True
        log("stopping", signal=signal.Signals(number).name, at_once=self.force_exit)


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        raise SettingsError(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror}; "
            "choose another with --port"
        ) from None
    listening.setblocking(False)
    return listening


def _url(host: str, port: int) -> str:
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{name}:{port}"


def _raise_open_files() -> None:
    """As many open files as we may have: a stream is two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else hard
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
