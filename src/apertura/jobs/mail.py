"""Delivers the mail that waits: claims some, sends them one after the other, marks each.

What it is not: what is put (`store.outbox`), or how a server is spoken to (`mail.smtp`). The rule
that keeps it honest: a copy is marked as soon as its server has answered, before the next is sent,
so that a worker who dies leaves at most one in doubt; and no address or content is ever logged.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from apertura.mail.base import Mailer, Message, Outcome, Send
from apertura.mail.messages import Brand, UnknownTemplate, render
from apertura.store import outbox
from apertura.store.database import Database
from apertura.store.outbox import Copy
from apertura.telemetry import log

MOST = 50
"""Copies that a step claims."""
STEP_SECONDS = 240.0
"""A step stops then, well before its claims run out."""
SWEEP_MS = 3_600_000


class Postman:
    """Delivers for one worker."""

    def __init__(self, database: Database, mailer: Mailer, brand: Brand, worker: str) -> None:
        self._database = database
        self._mailer = mailer
        self._brand = brand
        self._worker = worker
        self._swept_ms = 0

    async def step(self, now_ms: int) -> None:
        """Send what is due."""
        if abs(now_ms - self._swept_ms) >= SWEEP_MS:
            await self._sweep(now_ms)
        if not await outbox.is_due(self._database, now_ms):
            return
        copies = await outbox.claim(self._database, worker=self._worker, now_ms=now_ms, most=MOST)
        with suppress(TimeoutError):  # what is left is claimed again when its claim has run out
            async with asyncio.timeout(STEP_SECONDS), self._mailer.session() as send:
                for copy in copies:
                    await self._deliver(copy, send, now_ms)

    async def _sweep(self, now_ms: int) -> None:
        if lost := await outbox.sweep(self._database, now_ms):
            log("mail_given_up", copies=lost)
        self._swept_ms = now_ms

    async def _deliver(self, copy: Copy, send: Send, now_ms: int) -> None:
        try:
            message = self._message(copy)
        except UnknownTemplate as error:
            outcome = Outcome(kind="failed", reason=str(error))  # a newer worker may know it
        except ValueError as error:
            outcome = Outcome(kind="refused", reason=str(error))
        else:
            outcome = await send(message)
        await self._mark(copy, outcome, now_ms)

    def _message(self, copy: Copy) -> Message:
        written = render(copy.template, copy.facts, self._brand)
        return Message(
            id=copy.id,
            recipient=copy.recipient,
            subject=written.subject,
            text=written.text,
            html=written.html,
            at_ms=copy.created_at,
        )

    async def _mark(self, copy: Copy, outcome: Outcome, now_ms: int) -> None:
        if outcome.kind == "delivered":
            await outbox.delivered(self._database, copy, now_ms)
        elif outcome.kind == "waits":
            await outbox.postpone(self._database, copy, outcome.reason, now_ms)
        elif outcome.kind == "refused":
            await outbox.refused(self._database, copy, outcome.reason, now_ms)
            log("mail_given_up", mail=copy.id, attempts=copy.attempts, code=outcome.code)
        elif await outbox.failed(self._database, copy, outcome.reason, now_ms) is None:
            log("mail_given_up", mail=copy.id, attempts=copy.attempts, code=outcome.code)
        else:
            log("mail_failed", mail=copy.id, attempts=copy.attempts, code=outcome.code)
