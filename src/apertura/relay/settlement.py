"""From the end of a call to the books.

`settle` is called once at the end of every call: it prices the usage, writes one line to the
journal (a copy into mapped memory: it survives `kill -9` when it returns) and adds the row to the
batch. Every few dozen milliseconds a batch becomes one database transaction, and its journal lines
are done with. After a crash the lines left in the journal are settled again; a call's unique id
makes that harmless.

What it is not: where the books are kept (`store.usage`). The rule that keeps it honest: no reply's
last byte leaves before `settle` has returned, and a batch leaves memory only when it is committed.
"""

from __future__ import annotations

import asyncio
import contextlib

from apertura.domain.catalog import Offer
from apertura.domain.money import Nano
from apertura.domain.pricing import cost
from apertura.domain.usage import NOTHING, Usage
from apertura.errors import AperturaError
from apertura.relay.call import Call
from apertura.relay.leases import Leases
from apertura.store import charges, usage
from apertura.store.charges import Charge
from apertura.store.database import Conflict, Database
from apertura.store.journal import Journal
from apertura.telemetry import Meters, log

BATCH_SECONDS = 0.05
BATCH_MOST = 5_000
"""Rows per transaction: a backlog is written in pieces, so that none blocks others for long."""
BACKLOG_MOST = 200_000
"""Rows that may wait while the database is away, about 100 MB; then new calls are refused."""
RETRY_SECONDS = 1.0
LOG_SECONDS = 0.1


class Settlement:
    """The journal, the batch, and the task that writes it."""

    def __init__(
        self, database: Database, journal: Journal, meters: Meters, leases: Leases
    ) -> None:
        self._database, self._journal, self._meters = database, journal, meters
        self.leases = leases
        self._rows: list[Charge] = []
        self.full = not journal.is_ready
        """No more calls may start: the database has been away for too long, or the journal's disk
        has no room for more than those that run."""
        self._mark = 0
        self._clock = asyncio.get_running_loop().time
        self._writing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._woken = asyncio.Event()

    async def start(self) -> int:
        """Settle what an earlier life left in the journal, then begin; returns how many rows."""
        rows = [charges.decode(line) for line in self._journal.pending]
        for begin in range(0, len(rows), BATCH_MOST):
            await charges.record_and_charge(self._database, rows[begin : begin + BATCH_MOST])
        self._journal.forget()
        await self.leases.start()
        loop = asyncio.get_running_loop()
        steps = (self._run(), self._write_log(), self._keep_ready())
        self._tasks = [loop.create_task(step) for step in steps]
        return len(rows)

    def settle(self, call: Call) -> Nano:
        """End a call: its cost, in the journal and on its way to the books."""
        if call.settled:
            raise AssertionError(f"call {call.id} was settled twice")
        call.settled = True
        row = self._row(call)
        line = usage.encode(row)
        try:
            self._mark = self._journal.append(line)
        except AperturaError:  # a full disk: the books may still take it
            self._meters.write_failed()
        self._rows.append(row)
        self._meters.call(row, line)
        waiting = len(self._rows)
        if waiting == 1:
            self._woken.set()
        self.full = waiting >= BACKLOG_MOST or not self._journal.is_ready
        return Nano(row.cost)

    def backlog(self) -> int:
        """Rows that are not in the books yet."""
        return len(self._rows)

    async def flush(self) -> None:
        """Return when all that is settled by now is in the books. Raises: Unavailable."""
        async with self._writing:
            while self._rows:
                await self._write_batch()

    async def close(self) -> None:
        """Write the last batch; what cannot be written stays in the journal."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(AperturaError):
            await self.flush()
            await self.leases.close()
        await asyncio.to_thread(self._meters.flush)
        await self._journal.sync()

    async def _run(self) -> None:
        """Write a batch soon after there is something to write, for as long as the process runs."""
        while True:
            await self._woken.wait()
            await asyncio.sleep(BATCH_SECONDS)
            self._woken.clear()
            try:
                await self.flush()
            except (AperturaError, Conflict) as error:
                log("books_not_written", error=type(error).__name__, rows=len(self._rows))
                self._meters.write_failed()
                self._woken.set()
                await asyncio.sleep(RETRY_SECONDS)

    async def _write_log(self) -> None:
        """Apart from the books: a reader of our output who has stopped must not stop them."""
        while True:
            await asyncio.sleep(LOG_SECONDS)
            await asyncio.to_thread(self._meters.flush)

    async def _keep_ready(self) -> None:
        """Make room in the journal again, once its disk has some."""
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            if not self._journal.is_ready:
                try:
                    self._journal.prepare()
                except AperturaError as error:
                    log("journal_full", error=error.message)
                self._note_room()

    def _note_room(self) -> None:
        self.full = len(self._rows) >= BACKLOG_MOST or not self._journal.is_ready

    async def _write_batch(self) -> None:
        rows = self._rows[:BATCH_MOST]
        mark = self._mark if len(rows) == len(self._rows) else None
        await charges.record_and_charge(self._database, rows)
        self.leases.booked(rows)
        del self._rows[: len(rows)]
        self._note_room()
        if mark is not None:
            self._journal.settled(mark)

    def _row(self, call: Call) -> Charge:
        """The call's row, by position in the order of its fields: five times as fast as by name."""
        offer, used, caller, first = call.offer, call.usage, call.caller, call.first_at
        hold, credits_taken = call.hold, call.credits
        spent, taken, upstream = 0, 0, 0
        if offer is not None and used is not NOTHING:
            is_paid = is_charged(call)
            if credits_taken is None and is_paid and offer.price is not None:
                spent = cost(used, offer.price)
            elif credits_taken and is_paid:
                taken = credits_taken
            upstream = _upstream_cost(offer, used, spent)
        return Charge(
            call.id,
            caller.org_id,
            caller.key_id,
            call.model,
            offer.provider.name if offer is not None else "",
            offer.id if offer is not None else "",
            call.operation,
            call.streamed,
            call.status,
            call.outcome,
            call.error_code,
            call.started_ms,
            None if first is None else int((first - call.started) * 1000),
            int((self._clock() - call.started) * 1000),
            call.attempts,
            used.input,
            used.cache_read,
            used.cache_write,
            used.cache_write_1h,
            used.audio_input,
            used.output,
            used.reasoning,
            used.audio_output,
            used.estimated,
            spent,
            offer.price_id if offer is not None else "",
            used.image_output,
            taken,
            upstream,
            call.payer,
            self.leases.worker if hold is not None else "",
            call.funds,
            0 if hold is None else self.leases.settle(hold, spent or taken),
        )


def _upstream_cost(offer: Offer, used: Usage, spent: int) -> int:
    """What the provider takes, whether or not the caller is charged."""
    price = offer.upstream_price
    if price is None:
        if spent or offer.price is None:
            return spent
        price = offer.price
    return cost(used, price)


def is_charged(call: Call) -> bool:
    """A call is paid for when it was answered, or cut by its caller after content had come; and
    never when a chat model put out no token.
    """
    if call.outcome == "failed" or not call.content:
        return False
    return call.operation != "chat" or call.usage.output > 0
