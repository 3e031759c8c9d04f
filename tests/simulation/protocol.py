"""The protocol of leases as a machine of small steps, for a search of all its states.

Callers ask workers; a worker takes holds from its part of one fund, asks the database for more,
gives back, journals what calls cost and books it; it may be killed at any point, fall silent, and
start again. What a killed worker had sent may still reach the database later, or never. The
arithmetic is the product's (`domain.funds`); what happens in one step here is what the product does
without letting anything in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from apertura.domain import funds
from apertura.domain.funds import Fund, Lease, lease_size, spend

HOLD = 2
COSTS = (1, 3)
"""One below what was held, and one above."""


class Line(NamedTuple):
    """A line of the journal: whose call, under which life's lease, what it cost."""

    caller: int
    life: int
    cost: int
    covered: int


class Sent(NamedTuple):
    """On its way to the database (`done` is False) or back: a loan, or something given back."""

    what: str
    life: int
    amount: int
    done: bool


class Caller(NamedTuple):
    """`idle`, `waits`, `holds`, or one of the ends."""

    does: str = "idle"
    worker: int = 0
    life: int = 0
    cost: int = 0


class Worker(NamedTuple):
    alive: bool = True
    life: int = 0
    free: int = 0
    lines: tuple[Line, ...] = ()
    """In the journal, and not known to be in the books."""
    sent: Sent | None = None


class State(NamedTuple):
    fund: Fund
    leases: tuple[tuple[int, int, int], ...]
    """(worker, life, amount), sorted, none of nothing."""
    booked: frozenset[int]
    """The callers whose call is in the books."""
    charged: int
    workers: tuple[Worker, ...]
    callers: tuple[Caller, ...]
    late: tuple[tuple[int, Sent], ...] = ()
    """What killed workers had sent."""
    kills: int = 0
    silences: int = 0


def start(balance: int, callers: int, workers: int, kills: int, silences: int) -> State:
    return State(
        Fund(balance),
        (),
        frozenset(),
        0,
        (Worker(),) * workers,
        (Caller(),) * callers,
        kills=kills,
        silences=silences,
    )


def steps(state: State) -> Iterator[tuple[str, State]]:
    """Everything that can happen next."""
    for number, caller in enumerate(state.callers):
        yield from _of_caller(state, number, caller)
    for number, worker in enumerate(state.workers):
        yield from _of_worker(state, number, worker)
    for at, (number, sent) in enumerate(state.late):
        rest = state._replace(late=state.late[:at] + state.late[at + 1 :])
        yield "what a killed worker sent is lost", rest
        yield "what a killed worker sent arrives", _arrive(rest, number, sent)[0]
    for lease in state.leases:
        worker = state.workers[lease[0]]
        if lease[1] != worker.life or not worker.alive:
            yield "an old lease ends by time", _return(state, lambda one, lease=lease: one == lease)


def _of_caller(state: State, number: int, caller: Caller) -> Iterator[tuple[str, State]]:
    if caller.does == "idle":
        for at, worker in enumerate(state.workers):
            if worker.alive:
                yield "a call begins", _begin(state, number, at)
    elif caller.does == "holds":
        yield "a call is released", _end(state, number, 0)
        for cost in COSTS:
            yield "a call is settled", _end(state, number, cost)


def _of_worker(state: State, at: int, worker: Worker) -> Iterator[tuple[str, State]]:
    if not worker.alive:
        yield "a worker starts again", _restart(state, at)
        return
    yield from _of_database(state, at, worker)
    if worker.lines:
        booked = _book(state, at)
        yield "the journal is booked", _with(booked, at, worker._replace(lines=()))
        if state.kills:
            yield "killed after the commit", _kill(booked, at)
    if state.kills:
        yield "a worker is killed", _kill(state, at)
    if state.silences:
        yield "a worker is silent for too long", _new_life(state, at)


def _of_database(state: State, at: int, worker: Worker) -> Iterator[tuple[str, State]]:
    if worker.sent is None:
        if worker.free:
            sent = Sent("back", worker.life, worker.free, done=False)
            yield "what is free is given back", _with(state, at, worker._replace(free=0, sent=sent))
    elif worker.sent.done:
        yield "the answer comes", _answer(state, at)
    else:
        after, size = _arrive(state, at, worker.sent)
        worker = worker._replace(sent=worker.sent._replace(amount=size, done=True))
        yield "the database does it", _with(after, at, worker)


def _with(state: State, at: int, worker: Worker) -> State:
    return state._replace(workers=(*state.workers[:at], worker, *state.workers[at + 1 :]))


def _with_caller(state: State, number: int, caller: Caller) -> State:
    callers = (*state.callers[:number], caller, *state.callers[number + 1 :])
    return state._replace(callers=callers)


def _memory(worker: Worker, holds: int) -> Lease:
    """A worker's lease as the product has it."""
    lease = Lease("fund")
    lease.free, lease.held = worker.free, holds * HOLD
    return lease


def _begin(state: State, number: int, at: int) -> State:
    worker = state.workers[at]
    lease = _memory(worker, 0)
    if funds.take([lease], HOLD) is not None:
        state = _with(state, at, worker._replace(free=lease.free))
        return _with_caller(state, number, Caller("holds", at, worker.life))
    if worker.sent is None:
        sent = Sent("lend", worker.life, HOLD, done=False)
        state = _with(state, at, worker._replace(sent=sent))
    return _with_caller(state, number, Caller("waits", at, worker.life))


def _arrive(state: State, at: int, sent: Sent) -> tuple[State, int]:
    """The database's transaction, and what it granted."""
    if sent.what == "back":
        lease = next((one for one in state.leases if one[:2] == (at, sent.life)), None)
        if lease is None or lease[2] < sent.amount:
            return state, 0
        return _lend(state, at, sent.life, -sent.amount), 0
    waiting = sum(
        caller.does == "waits" and caller.worker == at and caller.life == sent.life
        for caller in state.callers
    )
    worker = state.workers[at]
    free = worker.free if worker.life == sent.life else 0
    size = lease_size([HOLD] * max(1, waiting), free, state.fund.available)
    return _lend(state, at, sent.life, size), size


def _lend(state: State, at: int, life: int, size: int) -> State:
    amounts = {one[:2]: one[2] for one in state.leases}
    amounts[at, life] = amounts.get((at, life), 0) + size
    return state._replace(
        fund=Fund(state.fund.posted, state.fund.held + size),
        leases=tuple(sorted((*name, amount) for name, amount in amounts.items() if amount)),
    )


def _answer(state: State, at: int) -> State:
    """The waiting callers try again; who finds nothing is refused, or asks once more."""
    worker = state.workers[at]
    assert worker.sent is not None
    granted = worker.sent.amount if worker.sent.what == "lend" else 0
    was_loan = worker.sent.what == "lend"
    if worker.sent.life != worker.life:
        granted = 0
    lease = _memory(worker, 0)
    lease.grow(granted)
    state = _with(state, at, worker._replace(free=lease.free, sent=None))
    for number, caller in enumerate(state.callers):
        if caller.does == "waits" and caller.worker == at:
            if funds.take([lease], HOLD) is not None:
                caller = Caller("holds", at, worker.life)
            elif was_loan:
                caller = Caller("refused", at, worker.life)
            else:
                sent = Sent("lend", worker.life, HOLD, done=False)
                state = _with(state, at, state.workers[at]._replace(sent=sent))
            state = _with_caller(state, number, caller)
    return _with(state, at, state.workers[at]._replace(free=lease.free))


def _end(state: State, number: int, cost: int) -> State:
    caller = state.callers[number]
    worker = state.workers[caller.worker]
    lease = _memory(worker, 1)
    lease.ended = caller.life != worker.life
    if lease.ended:
        lease.free = 0
    covered = funds.settle(funds.Hold([lease], HOLD), cost)
    free = worker.free if lease.ended else lease.free
    line = Line(number, worker.life, cost, covered)
    lines = (*worker.lines, line) if cost else worker.lines
    state = _with(state, caller.worker, worker._replace(free=free, lines=lines))
    return _with_caller(state, number, Caller("settled" if cost else "released", cost=cost))


def _book(state: State, at: int) -> State:
    """One transaction for all lines; those that are known change nothing."""
    for line in state.workers[at].lines:
        if line.caller in state.booked:
            continue
        lent = next((one[2] for one in state.leases if one[:2] == (at, line.life)), 0)
        covered = min(line.covered, lent)
        paid = funds.charged(line.cost, [(state.fund, covered)])
        fund = spend(state.fund, covered, paid)
        state = _lend(state, at, line.life, -covered)._replace(
            fund=fund, booked=state.booked | {line.caller}, charged=state.charged + paid
        )
    return state


def _kill(state: State, at: int) -> State:
    """Memory is gone; the journal, and what is under way, is not."""
    worker = state.workers[at]
    if worker.sent is not None and not worker.sent.done:
        state = state._replace(late=(*state.late, (at, worker.sent)))
    state = _with(state, at, worker._replace(alive=False, free=0, sent=None))
    for number, caller in enumerate(state.callers):
        if caller.worker == at and caller.does in {"waits", "holds"}:
            state = _with_caller(state, number, Caller("lost"))
    return state._replace(kills=state.kills - 1)


def _restart(state: State, at: int) -> State:
    """First the journal, then the leases of earlier lives, then a new life."""
    state = _book(state, at)
    worker = state.workers[at]
    state = _return(state, lambda lease: lease[0] == at)
    return _with(state, at, Worker(life=worker.life + 1))


def _new_life(state: State, at: int) -> State:
    worker = state.workers[at]._replace(life=state.workers[at].life + 1, free=0)
    return _with(state, at, worker)._replace(silences=state.silences - 1)


def _return(state: State, which) -> State:  # type: ignore[no-untyped-def]
    gone = [lease for lease in state.leases if which(lease)]
    for at, life, amount in gone:
        state = _lend(state, at, life, -amount)
    return state


def check(state: State, balance: int) -> None:
    """What must be true at every moment."""
    fund = state.fund
    assert 0 <= fund.held <= fund.posted
    assert fund.held == sum(amount for _, _, amount in state.leases)
    assert all(amount > 0 for _, _, amount in state.leases)
    assert fund.posted == balance - state.charged
    cost = sum(caller.cost for n, caller in enumerate(state.callers) if n in state.booked)
    assert state.charged <= cost, "nobody pays more than a call's cost"
    for at, worker in enumerate(state.workers):
        if worker.alive:
            assert worker.free >= 0
            assert _in_memory(state, at, worker) == _lent(state, at, worker), "worker and database"


def _in_memory(state: State, at: int, worker: Worker) -> int:
    holds = sum(
        caller.does == "holds" and (caller.worker, caller.life) == (at, worker.life)
        for caller in state.callers
    )
    spent = sum(
        line.covered
        for line in worker.lines
        if line.life == worker.life and line.caller not in state.booked
    )
    under_way = 0
    sent = worker.sent
    if sent is not None and sent.life == worker.life and sent.done == (sent.what == "lend"):
        under_way = sent.amount
    return worker.free + holds * HOLD + spent + under_way


def _lent(state: State, at: int, worker: Worker) -> int:
    return sum(amount for *name, amount in state.leases if name == [at, worker.life])


def check_end(state: State, balance: int) -> None:
    """What must be true once nothing more can happen."""
    assert state.fund.held == 0
    assert not state.leases
    settled = {n for n, caller in enumerate(state.callers) if caller.does == "settled"}
    assert state.booked == settled, "each call that was settled is in the books, and no other"
    assert not any(caller.does in {"idle", "waits", "holds"} for caller in state.callers)
