"""Laws of statements, against books that are kept as a plain list."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apertura.domain.statements import (
    MS_PER_DAY,
    DaySum,
    Found,
    Item,
    ModelUse,
    Month,
    Statement,
    days_of,
    month_of,
    months_between,
    parse_month,
    span_of,
    statement,
)

OCTOBER, NOVEMBER = Month("2026-10"), Month("2026-11")
FIRST, END = span_of(NOVEMBER)
ACCOUNTS = ("org:o:wallet", "org:o:promo:p", "org:o:promo:q", "org:o:plan:s.1", "org:o:plan:s.2")
KINDS = ("top-up", "refund", "reversal", "promo", "promo-end", "allowance", "usage", "something")


class Post(NamedTuple):
    """One movement of the naive books."""

    at: int
    account: str
    kind: str
    model: str
    amount: int
    """Above zero the account grew."""
    lost: int
    """Of a call: what was written off beside it."""


posts = st.builds(
    lambda at, account, kind, model, amount, lost: Post(
        at, account, kind, model, -amount if kind == "usage" else amount, lost
    ),
    st.one_of(
        st.integers(FIRST - 40 * MS_PER_DAY, END + 40 * MS_PER_DAY),
        st.sampled_from([FIRST - 1, FIRST, END - 1, END]),
    ),
    st.sampled_from(ACCOUNTS),
    st.sampled_from(KINDS),
    st.sampled_from(["small", "large"]),
    st.integers(1, 2**40),
    st.integers(0, 100),
)


def found(books: list[Post], month: Month) -> Found:
    """What the store would find, by its definition."""
    first, end = span_of(month)
    within = [post for post in books if first <= post.at < end]
    opening: Counter[str] = Counter()
    for post in books:
        if post.at < first:
            opening[post.account] += post.amount
    sums: dict[tuple[str, int, str], list[int]] = {}
    for post in within:
        total = sums.setdefault((post.account, post.at // MS_PER_DAY, post.kind), [0, 0])
        total[0] += 1
        total[1] += post.amount
    calls = [post for post in within if post.kind == "usage"]
    return Found(
        opening=opening,
        sums=[DaySum(*key, *total) for key, total in sums.items()],
        items=[
            Item(post.account, post.at, post.kind, "r", post.amount)
            for post in within
            if post.kind != "usage"
        ],
        models=[used(calls, model) for model in {post.model for post in calls}],
    )


def used(calls: list[Post], model: str) -> ModelUse:
    money = [p for p in calls if p.model == model and ":plan:" not in p.account]
    points = [p for p in calls if p.model == model and ":plan:" in p.account]
    return ModelUse(
        model=model,
        calls=len(money) + len(points),
        cost=sum(post.lost - post.amount for post in money),
        written_off=sum(post.lost for post in money),
        credits=sum(post.lost - post.amount for post in points),
        credits_lost=sum(post.lost for post in points),
    )


def made(books: list[Post], month: Month = NOVEMBER, now_ms: int = END) -> Statement:
    return statement("o", month, found(books, month), now_ms=now_ms)


@given(st.lists(posts))
def test_opening_and_movements_are_closing(books: list[Post]) -> None:
    """For each account; and closing is what the books hold when the month ends."""
    shown = {section.account: section for section in made(books).sections}

    for account in ACCOUNTS:
        before = sum(p.amount for p in books if p.account == account and p.at < FIRST)
        after = sum(p.amount for p in books if p.account == account and p.at < END)
        if account not in shown:
            moved = [p for p in books if p.account == account and FIRST <= p.at < END]
            assert (before, moved) == (0, [])
            continue
        section = shown[account]
        assert (section.opening, section.closing) == (before, after)
        assert before + sum(movement.amount for movement in section.movements) == after


@given(st.lists(posts))
def test_each_movement_is_of_its_kind_and_month(books: list[Post]) -> None:
    """Summed by kind, with how many they were; nothing of another month."""
    for section in made(books).sections:
        for movement in section.movements:
            own = [
                post
                for post in books
                if (post.account, post.kind) == (section.account, movement.kind)
                and FIRST <= post.at < END
            ]
            assert movement.entries == len(own)
            assert movement.amount == sum(post.amount for post in own)


@given(st.lists(posts))
def test_one_month_closes_as_the_next_one_opens(books: list[Post]) -> None:
    """Nothing is lost between two months."""
    closing = {s.account: s.closing for s in made(books, OCTOBER).sections if s.closing}
    opening = {s.account: s.opening for s in made(books, NOVEMBER).sections if s.opening}

    assert closing == opening


@given(st.lists(posts))
def test_lines_are_in_order_and_add_up(books: list[Post]) -> None:
    """Movements one by one, calls by account and day."""
    lines = made(books).lines

    assert [line.at for line in lines] == sorted(line.at for line in lines)
    assert sum(line.amount for line in lines) == sum(p.amount for p in books if FIRST <= p.at < END)
    days = [(line.account, line.at) for line in lines if line.kind == "usage"]
    assert len(days) == len(set(days))


@given(st.lists(posts))
def test_accounts_stand_in_their_order(books: list[Post]) -> None:
    """The wallet always and first, then gifts, then cycles; each in its own unit."""
    sections = made(books).sections

    assert sections[0].account == "org:o:wallet"
    whats = [section.what for section in sections]
    assert whats == sorted(whats, key=["wallet", "promo", "plan"].index)
    assert {s.unit for s in sections if s.what == "plan"} <= {"credits"}
    assert {s.unit for s in sections if s.what != "plan"} == {"nano-dollars"}


WRONG: dict[str, Callable[[Found], Found]] = {
    "a sum": lambda f: msgspec.structs.replace(f, sums=[*f.sums, f.sums[0]]),
    "an item": lambda f: msgspec.structs.replace(f, items=f.items[1:]),
    "a cost": lambda f: msgspec.structs.replace(f, models=[ModelUse(model="small", cost=8)]),
    "a loss": lambda f: msgspec.structs.replace(
        f, models=[ModelUse(model="small", cost=9, written_off=1)]
    ),
    "credits": lambda f: msgspec.structs.replace(
        f, models=[*f.models, ModelUse(model="x", credits=1)]
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_add_up_is_no_statement(what: str) -> None:
    """Wherever the difference is."""
    books = [
        Post(FIRST, "org:o:wallet", "top-up", "", 100, 0),
        Post(FIRST, "org:o:wallet", "usage", "small", -9, 0),
    ]
    right = found(books, NOVEMBER)
    assert statement("o", NOVEMBER, right, now_ms=END).wallet.closing == 91

    with pytest.raises(AssertionError) as refused:
        statement("o", NOVEMBER, WRONG[what](right), now_ms=END)
    assert str(refused.value) == {
        "a sum": "the lines are the movements",
        "an item": "the lines are the movements",
        "credits": "allowances paid for the calls",
    }.get(what, "accounts paid for the calls")


def test_a_month_that_has_not_ended_is_shown_so_far() -> None:
    """Until the moment in which it is made; whole from the first moment after it."""
    so_far, whole = made([], now_ms=END - 1), made([], now_ms=END)

    assert (so_far.is_final, so_far.until_ms) == (False, END - 1)
    assert (whole.is_final, whole.until_ms) == (True, END)
    assert made([], now_ms=END + 1).until_ms == END


def test_an_account_names_itself() -> None:
    """What it is, and which gift or cycle."""
    books = [Post(FIRST, account, "reversal", "", 1, 0) for account in ACCOUNTS]

    names = [(section.what, section.name) for section in made(books).sections]

    plans = [("plan", "s.1"), ("plan", "s.2")]
    assert names == [("wallet", ""), ("promo", "p"), ("promo", "q"), *plans]
    odd = made([Post(FIRST, "org:o:promo:p:1", "promo", "", 1, 0)]).sections[1]
    assert (odd.what, odd.name) == ("promo", "p:1")
    assert msgspec.structs.astuple(ModelUse(model="m")) == ("m", *[0] * 7)


@given(st.integers(0, 2**45))
def test_a_moment_is_in_its_month(ms: int) -> None:
    """Between its first millisecond and the next month's."""
    first, end = span_of(month_of(ms))

    assert first <= ms < end
    assert month_of(first) == month_of(end - 1) != month_of(end)
    assert first % MS_PER_DAY == 0


@pytest.mark.parametrize(
    "text",
    [
        *("2026-13", "2026-00", "2026-1", "26-01", "2026-01-01", "2026/01", "", "٢٠٢٦-٠١"),
        *("202٦-11", "3000-01", "1969-12"),
    ],
)
def test_what_is_no_month_is_refused(text: str) -> None:
    """Naming it."""
    with pytest.raises(ValueError) as refused:
        parse_month(text)
    assert str(refused.value) == f"{text!r} is no month such as 2026-11"


def test_months_are_counted_back() -> None:
    """Across a year, both ends included."""
    assert months_between(span_of(Month("2025-11"))[1] - 1, span_of(Month("2026-02"))[0]) == [
        *("2026-02", "2026-01", "2025-12", "2025-11")
    ]
    assert months_between(END, FIRST) == []
    assert months_between(0, 1) == ["1970-01"]
    assert months_between(-MS_PER_DAY, 0) == months_between(-1, -1) == ["1970-01"]
    assert days_of(parse_month("2026-02")) == (20485, 20513)
    assert days_of(parse_month("2026-12")) == (20788, 20819)
    assert days_of(parse_month("2027-01")) == (20819, 20850)


@pytest.fixture(params=["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A machine in another time zone."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def test_no_time_zone_of_the_machine_matters(zone: str) -> None:
    """A month is one of UTC."""
    assert [month_of(ms) for ms in (FIRST - 1, FIRST, END - 1, END)] == [
        *("2026-10", "2026-11", "2026-11", "2026-12")
    ], zone


def test_movements_stand_in_their_order() -> None:
    """What comes in, what goes out, the calls; kinds that are not known are beside the calls."""
    order = ["top-up", "refund", "reversal", "promo", "promo-end", "allowance", "allowance-expiry"]
    order += ["a-side", "usage", "zero"]
    books = [Post(FIRST, "org:o:wallet", kind, "small", -1, 0) for kind in sorted(order)]

    wallet = made(books).wallet

    assert [(one.kind, one.entries, one.amount) for one in wallet.movements] == [
        (kind, 1, -1) for kind in order
    ]
    assert (wallet.opening, wallet.closing) == (0, -10)


def test_a_statement_by_example() -> None:
    """A top-up at the day's last moment stands before the calls of that day, which are summed; the
    model that cost most is first, then the one that took most credits, then by name.
    """
    day = FIRST // MS_PER_DAY + 4
    last = (day + 1) * MS_PER_DAY - 1
    uses = [
        ModelUse(model="d", calls=1),
        ModelUse(model="c", calls=1),
        ModelUse(model="b", calls=2, input=7, output=3, cost=4, written_off=1, credits=2),
        ModelUse(model="e", calls=1, credits=9, credits_lost=3),
        ModelUse(model="a", calls=2, cost=6),
    ]
    read = Found(
        opening={"org:o:wallet": 50, "org:o:plan:s.0": 8, "org:o:promo:p": 0},
        sums=[
            DaySum("org:o:wallet", day, "usage", 3, -9),
            DaySum("org:o:plan:s.0", day, "usage", 2, -8),
            DaySum("org:o:wallet", day, "top-up", 2, 20),
        ],
        items=[
            Item("org:o:wallet", last, "top-up", "r2", 15),
            Item("org:o:wallet", last, "top-up", "r1", 5),
        ],
        models=uses,
    )

    shown = statement("o", NOVEMBER, read, now_ms=END)

    assert (shown.org_id, shown.month) == ("o", "2026-11")
    assert [use.model for use in shown.models] == ["a", "b", "e", "c", "d"]
    assert shown.total == ModelUse(
        model="", calls=7, input=7, output=3, cost=10, written_off=1, credits=11, credits_lost=3
    )
    assert [(s.account, s.opening, s.closing) for s in shown.sections] == [
        ("org:o:wallet", 50, 61),
        ("org:o:plan:s.0", 8, 0),
    ]
    assert [(m.kind, m.entries, m.amount) for m in shown.wallet.movements] == [
        ("top-up", 2, 20),
        ("usage", 3, -9),
    ]
    assert [
        (line.account, line.at, line.kind, line.reference, line.entries, line.amount)
        for line in shown.lines
    ] == [
        ("org:o:wallet", last, "top-up", "r1", 1, 5),
        ("org:o:wallet", last, "top-up", "r2", 1, 15),
        ("org:o:plan:s.0", last, "usage", "", 2, -8),
        ("org:o:wallet", last, "usage", "", 3, -9),
    ]
