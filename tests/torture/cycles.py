"""Kill, start again, compare: one server's life after the other, with callers, wall and books.

A life begins with a look at what the one before has left, while nobody calls: the audit, every
call of that life by its name, the leases, each wallet to the nano-dollar. It ends by SIGKILL: at
some moment, or just before a chosen line of the product runs (see `victim`).

What must hold of a call is in `verdict`.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from apertura.store.database import Database
from tests.cli.process import Server
from tests.torture.load import Caller, Role, take_calls
from tests.torture.place import ALLOWANCE, Place, Tenant, held
from tests.torture.verdict import Life, Row, Tally
from tests.wall import Wall

PATIENCE = 20.0
POCKET_MONEY = 600_000
"""Nano-dollars that the poor get for each life: it never lasts."""
PATIENCE_FOR_A_POINT = 2.0
"""Seconds of load in which a chosen line may come; then the server is asked to end."""
HASTE = "apertura.relay.leases:RENEW_SECONDS=0.7;apertura.relay.leases:SWEEP_SECONDS=0.5"
"""What leases do by themselves comes more than once in a life."""
ROLES = (
    Role("whole", stream=False),
    Role("stream", stream=True),
    Role("grows", behaviour="honest?chunks=40&delay=0.001"),
    Role("quota", quota=6_000_000, max_tokens=3),
    Role("poor", org="poor", max_tokens=3),
    Role("poor", org="poor", max_tokens=7),
    Role("gift", org="gifted", max_tokens=3),
    Role("plan", org="subscribed", max_tokens=3, by_plan=True),
    Role("leaves", behaviour="honest?chunks=40&delay=0.002", stream=True, leaves=True),
    Role("fails", behaviour="reset-after-first-chunk"),
    Role("fails", behaviour="500"),
)


@asynccontextmanager
async def opened(place: Place, wall: Wall, seed: int = 1) -> AsyncIterator[Torture]:
    """Torture of a place, with the supervisor's own connection to its database."""
    torture = Torture(place, wall, seed, await place.open())
    try:
        yield torture
    finally:
        await torture.database.close()


class Torture:
    """A place, its wall and its machines."""

    def __init__(self, place: Place, wall: Wall, seed: int, database: Database) -> None:
        self.place, self.wall, self.tally = place, wall, Tally()
        self.database = database
        self.chance = random.Random(seed)
        self.points: dict[str, int] = {}
        """Lines that a kill may choose, and how often one life runs them."""
        self.queue: list[str] = []
        """Lines that are to come first, each once."""
        self.point_share = 0.5
        self.machines: list[Machine] = []
        self.whole = asyncio.Lock()
        """Held by whoever needs the database to be there, and by whoever takes it away."""

    async def hire(self, roles: Sequence[Role] = ROLES, machines: int = 1) -> None:
        """Callers for each machine."""
        for number in range(machines):
            callers = await self.place.hire(self.database, roles)
            self.machines.append(Machine(self, f"machine-{number}", callers))
        self.place.configure(self.wall.url)

    async def run(
        self, cycles: int, before_the_end: Callable[[], Awaitable[None]] | None = None
    ) -> Tally:
        """So many kills, on all machines together; then an orderly end, and a last look."""
        async with asyncio.TaskGroup() as group:
            for machine in self.machines:
                group.create_task(machine.lives(cycles))
        if before_the_end:
            await before_the_end()
        for machine in self.machines:
            await machine.last_life()
        await self.last_look()
        return self.tally

    async def last_look(self) -> None:
        """Nothing runs: nothing is held, and each wallet is what came in less what calls cost."""
        self.tally.wrong += await self.place.faults(self.database)
        if left := await held(self.database):
            self.tally.wrong.append(f"held after all servers have ended: {left}")
        await self.look_at_wallets()

    async def look_at_wallets(self) -> None:
        """Only while no server has rows on their way to the books."""
        for name, tenant in self.place.tenants.items():
            [(left,)] = await self.database.read(
                "SELECT CAST(COALESCE(SUM(posted), 0) AS BIGINT) FROM funds "
                "WHERE owner = ? AND kind IN ('wallet', 'promo')",
                (tenant.id,),
            )
            [(spent, credits_spent)] = await self.database.read(
                "SELECT CAST(COALESCE(SUM(cost), 0) AS BIGINT), "
                "CAST(COALESCE(SUM(credits), 0) AS BIGINT) FROM usage WHERE org_id = ?",
                (tenant.id,),
            )
            if left != tenant.paid - spent or left < 0:
                said = f"{left} in the wallet, {tenant.paid} paid in, {spent} spent"
                self.tally.wrong.append(f"{name}: {said}")
            await self._look_at_credits(name, tenant, credits_spent)

    async def _look_at_credits(self, name: str, tenant: Tenant, spent: int) -> None:
        granted = ALLOWANCE if tenant.has_plan else 0
        rows = await self.database.read(
            "SELECT posted FROM funds WHERE owner = ? AND kind = 'allowance'", (tenant.id,)
        )
        left = rows[0][0] if rows else granted
        if left != granted - spent or left < 0:
            self.tally.wrong.append(f"{name}: {left} credits left, {granted} given, {spent} spent")

    async def pocket_money(self) -> None:
        """For the beginning of a life."""
        for name in set(self.place.tenants) - {"rich"}:
            await self.place.pay(self.database, name, POCKET_MONEY)
            if name == "gifted":
                await self.place.give(self.database, name, POCKET_MONEY)

    def choose(self) -> str:
        """Where the next life ends; empty is a moment."""
        if self.queue:
            return f"{self.queue.pop()}:1"
        if not self.points or self.chance.random() > self.point_share:
            return ""
        point = self.chance.choice(sorted(self.points))
        return f"{point}:{self.chance.randint(1, min(40, self.points[point]))}"


class Machine:
    """One server after the other on one data folder."""

    def __init__(self, torture: Torture, name: str, callers: Sequence[Caller]) -> None:
        self._torture, self.name, self.callers = torture, name, callers
        self._seen: set[str] = set()
        self._since_ms = 0
        self._killed_at = 0.0
        self.outages = 0
        """Of the database, in this life."""

    async def lives(self, cycles: int) -> None:
        """A life for each cycle that no other machine has taken, while nothing is wrong."""
        tally = self._torture.tally
        while tally.cycles < cycles and not tally.wrong:
            tally.cycles += 1
            await self.life(self._torture.choose())

    async def last_life(self, seconds: float = 0.2, *, look: bool = True, **more: str) -> None:
        """Begins as all do, and ends in good order."""
        async with AsyncExitStack() as stack:
            running = await self.begin(stack, "", **more)
            assert running is not None
            tasks = self._call(running)
            await asyncio.sleep(seconds)
            await self.end_well(running, tasks)
        if look:
            await self.look()

    async def end_well(self, running: Server, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Callers first, then the server: nothing is cut off."""
        for caller in self.callers:
            caller.stopping = True
        await asyncio.gather(*tasks)
        if code := await running.stop():
            self._torture.tally.wrong.append(f"{self.name}: exit code {code}")
        self._killed_at = time.monotonic()

    async def end_badly(self, running: Server, tasks: Sequence[asyncio.Task[None]]) -> None:
        """SIGKILL, under load."""
        await running.kill()
        self._killed_at = time.monotonic()
        await asyncio.gather(*tasks)

    async def life(self, point: str) -> None:
        """Start, look back, load, die."""
        async with AsyncExitStack() as stack:
            running = await self.begin(stack, point)
            if running is None:
                return
            tasks = self._call(running)
            await self._until_called()
            if point:
                await self._death(running)
            else:
                await asyncio.sleep(self._torture.chance.uniform(0, 0.5))
            died = running.process.returncode is not None
            if not died:
                await running.kill()
            died = died and running.process.returncode != 0
            self._killed_at = time.monotonic()
            self._note(point, died=died)
            await asyncio.gather(*tasks)
            if died and not point:
                self._torture.tally.wrong.append(f"{self.name} died by itself: {running.said}")

    async def begin(self, stack: AsyncExitStack, point: str = "", **more: str) -> Server | None:
        """Start, and look at what the last life left. None: it died while it started."""
        torture = self._torture
        given = {"TORTURE_SET": HASTE, **more, **({"TORTURE_KILL_AT": point} if point else {})}
        async with torture.whole:
            started = torture.place.server(self.name, **given)
            try:
                running = await stack.enter_async_context(started)
            except AssertionError:
                if not point:
                    raise
                self._note(point, died=True)
                torture.tally.kills["of these while starting"] += 1
                return None
            torture.tally.recovered += _recovered(running)
            await self.look()
            await self._look_at_books()
            await torture.pocket_money()
        self._since_ms = time.time_ns() // 1_000_000 - 1000
        self.outages = 0
        return running

    def _call(self, running: Server) -> list[asyncio.Task[None]]:
        for caller in self.callers:
            caller.stopping = False
        return [asyncio.create_task(caller.run(running.url)) for caller in self.callers]

    async def _until_called(self) -> None:
        """Load is there when somebody has an answer; a process that dies first is noticed too."""
        give_up = time.monotonic() + PATIENCE
        while not any(a.ended for caller in self.callers for a in caller.attempts):
            assert time.monotonic() < give_up, f"{self.name} answers nobody"
            await asyncio.sleep(0.005)

    async def _death(self, running: Server) -> None:
        """It dies under load, or while it is asked to end; or it ends well: it has no such line."""
        with suppress(TimeoutError):
            await asyncio.wait_for(running.process.wait(), PATIENCE_FOR_A_POINT)
            return
        await running.stop()

    def _note(self, point: str, *, died: bool) -> None:
        tally = self._torture.tally
        how = "at a moment" if not point else "at a line" if died else "not: the line never ran"
        tally.kills[how] += 1
        if point and died:
            tally.points.add(point.rpartition(":")[0])

    # What a life has left.

    async def _look_at_books(self) -> None:
        """Before anybody calls: the audit, no lease of the dead, wallets if none else writes."""
        torture = self._torture
        wrong = await torture.place.faults(torture.database)
        place = (torture.place.folder / self.name / "data" / "place").read_text().strip()
        left = await torture.database.read(
            "SELECT fund_id, worker, amount FROM leases WHERE substr(worker, 1, ?) = ?",
            (len(place) + 1, f"{place}/"),
        )
        wrong += [f"still lent to the dead {worker}: {amount} of {f}" for f, worker, amount in left]
        torture.tally.wrong += wrong
        if len(torture.machines) == 1:
            if total := await held(torture.database):
                torture.tally.wrong.append(f"held although nothing runs: {total}")
            await torture.look_at_wallets()

    async def look(self) -> None:
        """Each call of the last life, by its name."""
        models = [caller.model for caller in self.callers]
        rows = await self._torture.database.read(
            "SELECT call_id, model, outcome, cost, credits, payer, started_ms FROM usage "
            f"WHERE started_ms >= ? AND model IN ({','.join('?' * len(models))}) "
            "ORDER BY started_ms",
            (self._since_ms, *models),
        )
        new = [Row(*row[:6]) for row in rows if row[0] not in self._seen]
        self._seen = {row[0] for row in rows}  # the next life looks back for a second only
        names = {a.name for caller in self.callers for a in caller.attempts}
        asked = take_calls(self._torture.wall, names)
        for caller in self.callers:
            life = Life(
                caller, [row for row in new if row.model == caller.model], asked, self._killed_at
            )
            life.judge(self._torture.tally, had_outage=self.outages > 0)
            caller.attempts.clear()


def _recovered(running: Server) -> int:
    events = [json.loads(line) for line in running.said if line.startswith("{")]
    return sum(event["calls"] for event in events if event["event"] == "recovered")
