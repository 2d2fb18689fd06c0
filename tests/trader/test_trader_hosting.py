"""Several strategies on several symbols: each sees its own, and what one does wrong stays its own problem."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hosting_world import BTC, ETH, MIDDLE, Playing, TwoMarkets, once, rest, take
from paper_world import instrument

from tradewind.observe import trader_view
from tradewind.trader import checkpoint
from tradewind.trader.hosting.answers import Nonsense, check_answer
from tradewind.trader.hosting.host import Hosted, ManifestError
from tradewind.trader.hosting.hosts import UnknownStrategy
from tradewind.trader.hosting.memory import held_by
from tradewind.trader.hosting.watch import WATCH, CallbackInterrupted
from tradewind.trader.risk import check
from tradewind.trader.risk.rules_strategy import budget, own_position
from tradewind.trader.risk.state import LatchError, TradingState
from tradewind.trader.strategy import AmendIntent, CancelIntent, PlaceIntent
from tradewind.venues.market_data import BookSnapshot, BookState, Side
from tradewind.venues.paper.port import Place

D = Decimal
HALTED = TradingState.HALTED


# ---- what a strategy hears and sees ------------------------------------------------------------------


async def test_a_strategy_hears_only_the_data_and_symbols_that_its_manifest_asks_for() -> None:
    books = Playing("books", BTC, data=("book",))
    prints = Playing("prints", ETH, data=("trades",))
    nothing = Playing("nothing", BTC, ETH, data=())
    world = await TwoMarkets.open(books, prints, nothing)
    for one in (books, prints, nothing):
        one.called.clear()
    for symbol in (BTC, ETH):
        await world.book(symbol, 1)
        await world.prints(symbol, MIDDLE[symbol], 3)
    assert [name for name, _ in books.called] == ["on_book"]
    assert [name for name, _ in prints.called] == ["on_trade"]
    assert nothing.called == []
    wants = world.trader.wants
    assert (wants(BTC, "book"), wants(BTC, "trades"), wants(ETH, "trades")) == (True, False, True)
    await world.state(BTC, BookState.SUSPECT)
    assert [one.called[-1][0] for one in (books, nothing)] == ["on_suspect"] * 2
    assert prints.called[-1][0] == "on_trade"


async def test_every_strategy_has_a_timer_of_its_own_period_at_its_own_time() -> None:
    quick, slow = Playing("quick", timer_ms=250), Playing("slow", timer_ms=3_000)
    world = await TwoMarkets.open(quick, slow)
    begin_ns = quick.called[0][1]
    await world.wait_ms(6_100)
    ticks = {
        one.manifest.name: [ns for name, ns in one.called if name == "on_timer"] for one in (quick, slow)
    }
    assert [ns - begin_ns for ns in ticks["slow"]] == [3_000_000_000, 6_000_000_000]
    assert [ns - begin_ns for ns in ticks["quick"]] == [n * 250_000_000 for n in range(1, 25)]


async def test_bars_are_told_at_their_end_even_when_nothing_trades() -> None:
    one = Playing("bars", BTC, data=("bars:60",))
    bars: list[Any] = []
    one.plays["on_bar"] = lambda context, bar: bars.append((bar, context.now_ns)) or []
    world = await TwoMarkets.open(one)
    await world.wait_ms(61_000)
    await world.prints(BTC, MIDDLE[BTC], 7)
    await world.prints(BTC, MIDDLE[BTC] + 10, 3)
    await world.wait_ms(120_000)
    assert [(bar.lots, bar.close_ticks) for bar, _ in bars] == [(10, MIDDLE[BTC] + 10), (0, MIDDLE[BTC] + 10)]
    assert all(at_ns == bar.end_ns for bar, at_ns in bars)


async def test_symbols_only_looked_at_give_data_and_no_orders() -> None:
    outside = {"XRP/USDT": instrument("XRP/USDT", tick="0.0001", lot="1")}
    one = Playing("looks", BTC, outside=("XRP/USDT",))
    seen: list[Any] = []
    one.plays["on_book"] = lambda context, book: seen.append((book, context.market("XRP/USDT"))) or []
    world = await TwoMarkets.open(one, outside=outside)
    seen.clear()
    await world.feed(
        BookSnapshot(symbol="XRP/USDT", bids=((5_000, 9),), asks=((5_002, 8),), sequence=1, **world.stamp())
    )
    assert seen == []
    await world.state("XRP/USDT", BookState.LIVE)
    await world.feed(
        BookSnapshot(symbol="XRP/USDT", bids=((5_001, 9),), asks=((5_002, 8),), sequence=2, **world.stamp())
    )
    book, view = seen[-1]
    assert (book.symbol, book.bids, view.instrument.symbol) == ("XRP/USDT", ((5_001, 9),), "XRP/USDT")
    one.plays["on_book"] = lambda *_: [
        rest(BTC),
        PlaceIntent(symbol="XRP/USDT", side=Side.BUY, price_ticks=1, lots=1),
    ]
    await world.book(BTC, 1)
    assert "did not declare" in (world.trader.hosts.find("looks").error or "")
    assert world.working("looks") == []


async def test_strategies_on_one_symbol_see_neither_each_others_orders_nor_positions() -> None:
    first, second = Playing("first"), Playing("second")
    first.plays["on_book"] = once(take(BTC, Side.BUY, 30), rest(BTC))
    world = await TwoMarkets.open(first, second)
    seen: list[Any] = []
    second.plays["on_timer"] = lambda context: (
        seen.append((context.position_lots, context.orders, context.average_price)) or []
    )
    mine: list[Any] = []
    first.plays["on_timer"] = lambda context: mine.append((context.position_lots, len(context.orders))) or []
    await world.wait_ms(1_000)
    assert seen == [(0, (), None)]
    assert mine == [(30, 1)]
    assert [name for name, _ in second.called if name in {"on_fill", "on_order"}] == []


async def test_profit_and_positions_belong_to_who_traded_and_add_up_to_the_account() -> None:
    first, second = Playing("first"), Playing("second")
    first.plays["on_book"] = once(take(BTC, Side.BUY, 30))
    second.plays["on_book"] = once(take(BTC, Side.BUY, 20))
    world = await TwoMarkets.open(first, second)
    second.plays["on_timer"] = once(take(BTC, Side.SELL, 5))
    await world.wait_ms(1_100)
    denied, _ = await world.trader.submit(take(BTC, Side.BUY, 4))
    assert not denied
    await world.wait_ms(10)
    books, ledger = world.trader.books, world.trader.ledger
    held = {name: books.lots(name, BTC) for name in ("first", "second", "manual")}
    assert held == {"first": 30, "second": 15, "manual": 4}
    assert sum(books.held(name, BTC) for name in held) == ledger.positions[BTC].held
    pnl = world.trader.strategy_pnl()
    assert sum(pnl.values()) == world.trader.marks.profit_and_loss().net
    assert pnl["first"] < 0 < held["second"]
    assert (await world.kill.flatten("op", "drill")).verified
    assert {name: books.lots(name, BTC) for name in held} == dict.fromkeys(held, 0)
    assert sum(world.trader.strategy_pnl().values()) == world.trader.marks.profit_and_loss().net
    assert not await world.trader.reconcile()


async def test_a_checkpoint_and_the_books_of_a_restart_are_the_same() -> None:
    first, second = Playing("first"), Playing("second", ETH)
    first.plays["on_book"] = once(take(BTC, Side.BUY, 30))
    second.plays["on_book"] = once(take(ETH, Side.BUY, 30))
    world = await TwoMarkets.open(first, second)
    await world.wait_ms(10)
    fresh = await TwoMarkets.open(Playing("first"), Playing("second", ETH), live=False, start=False)
    checkpoint.load(fresh.trader, checkpoint.parse(checkpoint.take(world.trader, Place(1, 1, b""))))
    assert msgspec.to_builtins(fresh.trader.books.take()) == msgspec.to_builtins(world.trader.books.take())
    assert fresh.trader.books.lots("second", ETH) == 30


# ---- containment -------------------------------------------------------------------------------------


def raises(*_: Any) -> Any:
    raise RuntimeError("boom")


def leaves(*_: Any) -> Any:
    sys.exit(0)


class Unprintable(Exception):
    def __repr__(self) -> str:
        raise RuntimeError("no words")


def mute(*_: Any) -> Any:
    raise Unprintable


NONSENSE: dict[str, Callable[..., Any]] = {
    "raises": raises,
    "exits": leaves,
    "unprintable": mute,
    "none": lambda *_: None,
    "text": lambda *_: "buy",
    "number": lambda *_: 7,
    "no intent": lambda *_: [object()],
    "generator": lambda *_: (one for one in [rest(BTC)]),
    "float price": lambda *_: [msgspec.structs.replace(rest(BTC), price_ticks=1.5)],
    "nan lots": lambda *_: [msgspec.structs.replace(rest(BTC), lots=float("nan"))],
    "nan edge": lambda *_: [msgspec.structs.replace(rest(BTC), edge_bps=D("NaN"))],
    "true lots": lambda *_: [msgspec.structs.replace(rest(BTC), lots=True)],
    "huge lots": lambda *_: [msgspec.structs.replace(rest(BTC), lots=1 << 70)],
    "side": lambda *_: [msgspec.structs.replace(rest(BTC), side="buy")],
    "symbol": lambda *_: [msgspec.structs.replace(rest(BTC), symbol="DOGE/USDT")],
    "other symbol": lambda *_: [rest(ETH)],
    "tag": lambda *_: [msgspec.structs.replace(rest(BTC), tag="x" * 65)],
    "spam": lambda *_: [rest(BTC)] * 65,
    "cancel of a number": lambda *_: [CancelIntent(client_id=5)],  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", NONSENSE)
async def test_a_strategy_that_throws_or_answers_nonsense_is_halted_alone(name: str) -> None:
    bad, good = Playing("bad"), Playing("good")
    bad.plays["on_book"], good.plays["on_book"] = once(rest(BTC)), once(rest(BTC, away=2_000))
    world = await TwoMarkets.open(bad, good)
    assert world.working("bad")
    bad.plays["on_book"] = NONSENSE[name]
    good.plays["on_book"] = once(rest(BTC, away=3_000))
    await world.book(BTC, 1)
    await world.wait_ms(10)
    state = world.trader.state
    assert (state("bad"), state("good"), state()) == (HALTED, TradingState.NORMAL, TradingState.NORMAL)
    assert world.working("bad") == []
    assert len(world.working("good")) == 2
    calls = len(bad.called)
    await world.book(BTC, 2)
    assert len(bad.called) == calls, "a halted strategy is not called"
    assert good.called[-1][0] == "on_book"
    assert not await world.trader.reconcile()


async def test_orders_of_another_strategy_cannot_be_touched() -> None:
    victim, thief = Playing("victim"), Playing("thief")
    victim.plays["on_book"] = once(rest(BTC))
    world = await TwoMarkets.open(victim, thief)
    (order,) = world.trader.oms.working("victim")
    for intent in (
        CancelIntent(client_id=order.client_id),
        AmendIntent(client_id=order.client_id, price_ticks=1, lots=1),
    ):
        world.trader.hosts.find("thief").strategy.plays["on_book"] = once(intent)  # type: ignore[attr-defined]
        await world.book(BTC, 1)
        assert "another strategy" in (world.trader.hosts.find("thief").error or "")
        await world.wait_ms(10)
        assert world.working("victim") == [(BTC, order.price_ticks)]
        await world.trader.resume_strategy("thief", "op", "again")


async def test_two_strategies_never_trade_with_each_other() -> None:
    buyer, seller = Playing("buyer"), Playing("seller")
    buyer.plays["on_book"] = once(rest(BTC, away=60))
    seller.plays["on_book"] = once(take(BTC, Side.BUY, 20))
    world = await TwoMarkets.open(buyer, seller)
    price = MIDDLE[BTC] - 60
    seller.plays["on_book"] = once(
        PlaceIntent(symbol=BTC, side=Side.SELL, price_ticks=price, lots=5, post_only=False)
    )
    await world.book(BTC, 0)
    await world.wait_ms(5)
    assert world.trader.risk.denials["SelfMatch"] == 1


def sleeps(*_: Any) -> Any:
    time.sleep(30)
    return []


def spins(*_: Any) -> Any:
    while True:
        pass


def swallows(*_: Any) -> Any:
    """Handles whatever comes, for ever."""
    while True:
        try:  # noqa: SIM105
            time.sleep(1)
        except BaseException:
            pass


@pytest.mark.parametrize("block", [sleeps, spins, swallows])
async def test_a_callback_that_blocks_is_broken_off_and_its_strategy_halted(
    block: Callable[..., Any],
) -> None:
    bad, good = Playing("bad"), Playing("good")
    world = await TwoMarkets.open(bad, good)
    assert WATCH.armed
    bad.plays["on_book"] = block
    good.called.clear()
    await world.book(BTC, 1)
    assert "blocked" in (world.trader.hosts.find("bad").error or "")
    assert [name for name, _ in good.called] == ["on_book"]
    assert WATCH.started_ns == 0
    assert sys.gettrace() is None or "hosting" not in repr(sys.gettrace())
    await world.trader.stop()


async def test_nothing_is_interrupted_outside_of_a_callback() -> None:
    world = await TwoMarkets.open(Playing("one"))
    with pytest.raises(CallbackInterrupted):
        WATCH.started_ns = WATCH._overdue = 1
        try:
            WATCH._on_signal(0, None)
        finally:
            WATCH.finish()
    WATCH._on_signal(0, None)
    await world.trader.stop()


async def test_a_strategy_that_hoards_memory_is_halted_and_a_small_one_is_not() -> None:
    bad, good = Playing("bad"), Playing("good")
    world = await TwoMarkets.open(bad, good)
    hosts = world.trader.hosts
    hosts.memory_cap_bytes = 1 << 20
    bad.hoard = [bytes(100) for _ in range(20_000)]  # type: ignore[attr-defined]
    good.context = hosts.find("good").context  # type: ignore[attr-defined] # what it looks at is not its own
    for turn in range(2):
        hosts._measured_s = -1e9
        hosts.on_second(world.port.now_ns() + turn)
    assert "MB" in (hosts.find("bad").error or "")
    assert hosts.find("good").error is None


def test_memory_is_measured_with_a_bounded_walk() -> None:
    class Thing:
        pass

    thing = Thing()
    thing.rows = [[float(number)] for number in range(300_000)]  # type: ignore[attr-defined]
    measure = held_by(thing)
    exact = 300_000 * (8 + 64 + 24)
    assert 0.5 * exact < measure.held_bytes < 2 * exact
    assert measure.objects <= 5_000
    thing.self = thing  # type: ignore[attr-defined]
    assert held_by(thing).objects <= 5_000


# ---- resuming ----------------------------------------------------------------------------------------


async def test_a_halted_strategy_is_resumed_fresh_or_not_at_all() -> None:
    one = Playing("one")
    world = await TwoMarkets.open(one)
    one.plays["on_book"] = raises
    await world.book(BTC, 1)
    with pytest.raises(UnknownStrategy):
        await world.trader.resume_strategy("two", "op", "why not")
    with pytest.raises(LatchError):
        await world.trader.resume_strategy("one", "op", "  ")
    assert world.trader.state("one") is HALTED
    await world.trader.resume_strategy("one", "op", "fixed")
    host = world.trader.hosts.find("one")
    assert world.trader.state("one") is TradingState.NORMAL
    assert host.strategy is not one
    assert [name for name, _ in host.strategy.called] == ["on_start"]  # type: ignore[attr-defined]
    await world.book(BTC, 2)
    assert host.strategy.called[-1][0] == "on_book"  # type: ignore[attr-defined]


async def test_a_strategy_that_cannot_be_built_again_stays_halted() -> None:
    one = Playing("one")
    world = await TwoMarkets.open(Hosted(strategy=one, fresh=lambda: Playing("other")))
    one.plays["on_book"] = raises
    await world.book(BTC, 1)
    with pytest.raises(ManifestError):
        await world.trader.resume_strategy("one", "op", "fixed")
    assert world.trader.state("one") is HALTED
    assert not world.trader.hosts.find("one").active


async def test_a_halt_survives_a_restart() -> None:
    one = Playing("one")
    world = await TwoMarkets.open(one)
    one.plays["on_book"] = raises
    await world.book(BTC, 1)
    fresh = await TwoMarkets.open(Playing("one"), live=False, start=False)
    for latch in world.trader.states.active():
        fresh.trader.states.apply(latch)
    await fresh.session.open()
    assert fresh.trader.hosts.find("one").strategy.called == []  # type: ignore[attr-defined]
    assert "boom" in (fresh.trader.strategy_error or "")


# ---- what may be hosted ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategies", "words"),
    [
        ((), "1 to 32"),
        ((Playing("a"), Playing("a")), "two strategies"),
        ((Playing("a", "DOGE/USDT"),), "not traded"),
        ((Playing("a", BTC, BTC),), "named twice"),
        ((Playing("a", BTC, outside=("DOGE/USDT",)),), "no data"),
        ((Playing("a", data=("candles",)),), "none of book"),
        ((Playing("a", data=("bars:7",)),), "none of book"),
        ((Playing("a", timer_ms=0),), "timer_ms"),
        ((Playing("a", book_levels=0),), "book_levels"),
        ((Playing("a|b"),), "without"),
    ],
)
async def test_what_cannot_be_hosted_is_refused_with_its_reason(strategies: Any, words: str) -> None:
    with pytest.raises(ManifestError, match=words):
        await TwoMarkets.open(*strategies)


def test_an_answer_of_an_attached_kind_passes_only_for_declared_symbols() -> None:
    class Execute(msgspec.Struct):
        symbol: str

    def owner(_: str) -> str | None:
        return None

    assert check_answer([Execute(BTC)], (BTC,), "one", owner, {Execute: None})
    with pytest.raises(Nonsense):
        check_answer([Execute(ETH)], (BTC,), "one", owner, {Execute: None})
    with pytest.raises(Nonsense):
        check_answer([Execute(BTC)], (BTC,), "one", owner, {})


# ---- what an operator sees ---------------------------------------------------------------------------


async def test_the_snapshot_and_the_view_show_every_strategy_truthfully() -> None:
    good, bad = Playing("good"), Playing("bad", ETH)
    good.plays["on_book"] = once(take(BTC, Side.BUY, 30), rest(BTC))
    bad.plays["on_book"] = raises
    world = await TwoMarkets.open(good, Hosted(strategy=bad, budget_pct=D(25)))
    await world.wait_ms(10)
    rows = {row.name: row for row in world.trader.snapshot().strategies}
    assert (rows["good"].state, rows["bad"].state) == ("running", "faulted")
    assert "boom" in rows["bad"].error
    assert rows["bad"].budget_pct == 25
    assert rows["good"].positions == {BTC: D("0.003")}
    assert (rows["good"].fills, rows["good"].open_orders, rows["good"].intents) == (1, 1, 2)
    assert rows["good"].net == rows["good"].realised + (rows["good"].unrealised or 0) - rows["good"].fees
    assert rows["good"].callbacks >= 2
    assert rows["good"].callback_max_us > 0
    shown = {one.name: one for one in trader_view.strategies(world.trader)}
    assert (shown["good"].state, shown["bad"].state) == ("running", "halted")
    assert shown["good"].positions == ((BTC, "0.0030"),)
    assert "bad: RuntimeError('boom')" in {one.text for one in trader_view.alarms(world.trader, 0)}
    await world.kill.halt("op", "drill")
    (first, _) = trader_view.strategies(world.trader)
    assert (first.state, "drill" in first.detail) == ("halted", True)


# ---- its own position, its own budget ----------------------------------------------------------------


@pytest.mark.parametrize(("lots", "passes"), [(29, True), (30, True), (31, False)])
async def test_a_strategy_sells_at_most_what_it_holds_by_itself(lots: int, passes: bool) -> None:
    first, second = Playing("first"), Playing("second")
    first.plays["on_book"] = once(take(BTC, Side.BUY, 30))
    second.plays["on_book"] = once(take(BTC, Side.BUY, 40))
    world = await TwoMarkets.open(first, second)
    await world.wait_ms(10)
    first.plays["on_timer"] = once(rest(BTC, Side.SELL, lots))
    await world.wait_ms(1_000)
    assert bool(world.working("first")) is passes
    assert world.trader.risk.denials.get("OwnPosition", 0) == (not passes)


async def test_working_sales_count_and_an_operator_may_sell_what_any_strategy_holds() -> None:
    one = Playing("one")
    one.plays["on_book"] = once(take(BTC, Side.BUY, 30))
    world = await TwoMarkets.open(one)
    await world.wait_ms(10)
    one.plays["on_timer"] = once(rest(BTC, Side.SELL, 20), rest(BTC, Side.SELL, 11, away=2_000))
    await world.wait_ms(1_000)
    assert world.trader.risk.denials["OwnPosition"] == 1
    denied, _ = await world.trader.submit(rest(BTC, Side.SELL, 10, away=3_000))
    assert not denied


@pytest.mark.parametrize(("part", "passes"), [("1.00", True), ("0.99", False)])
async def test_a_strategy_stays_within_its_part_of_the_equity(part: str, passes: bool) -> None:
    """Equity 10,000: twenty lots of 0.0001 at 50,000 are 1 % of it (a little less at a passive price)."""
    one, other = Playing("one"), Playing("other")
    one.plays["on_book"] = once(rest(BTC, lots=10, away=51), rest(BTC, lots=10, away=52))
    world = await TwoMarkets.open(Hosted(strategy=one, budget_pct=D(part)), other)
    assert len(world.working("one")) == (2 if passes else 1)
    assert world.trader.risk.denials.get("StrategyBudget", 0) == (not passes)
    world.trader.hosts.find("other").strategy.plays["on_timer"] = once(rest(BTC, lots=10, away=53))  # type: ignore[attr-defined]
    await world.wait_ms(1_000)
    assert world.working("other"), "the budget of one is not the other's"


async def test_without_the_rules_both_would_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutation: the two rules are what denies."""
    monkeypatch.setattr(check, "ALWAYS", tuple(rule for rule in check.ALWAYS if rule is not own_position))
    monkeypatch.setattr(check, "INCREASING", tuple(rule for rule in check.INCREASING if rule is not budget))
    one, other = Playing("one"), Playing("other")
    one.plays["on_book"] = once(take(BTC, Side.BUY, 30), rest(BTC))
    other.plays["on_timer"] = once(rest(BTC, Side.SELL, 20))
    world = await TwoMarkets.open(Hosted(strategy=one, budget_pct=D("0.01")), other)
    await world.wait_ms(1_000)
    assert world.working("one")
    assert world.working("other")
