"""What a strategy may look at, and the hooks that other parts of the trader hang on."""

from __future__ import annotations

import inspect
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from paper_world import SYMBOL
from trader_world import Scripted, TraderWorld, buy

from tradewind.trader import checkpoint
from tradewind.trader.risk_view import Source
from tradewind.trader.strategy import Context, SizeRequest, Strategy, StrategyBase, StrategyIntent
from tradewind.trader.volumes import BUCKET_NS, WINDOW_NS, Volumes
from tradewind.venues.market_data import Side
from tradewind.venues.paper.port import Place


class Counting:
    """A source that counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def answer(*_: object) -> object:
            self.asked.append(name)
            return (0, "no room") if name == "size" else len(self.asked)

        return answer


def test_a_context_computes_nothing_before_it_is_asked_and_everything_once_per_callback() -> None:
    import random

    source = Counting()
    context = Context(source, "A/B", random.Random(1))  # type: ignore[arg-type]
    context.begin("A/B")
    assert source.asked == []
    assert context.equity == context.equity
    assert context.position_lots == context.market("A/B").position_lots
    assert context.market("C/D").orders == context.market("C/D").orders
    assert source.asked == ["equity", "position_lots", "orders"]
    context.begin("C/D")
    assert context.symbol == "C/D"
    assert context.equity == 4
    assert context.size("C/D", Side.BUY, 10, 9) == 0
    assert context.size_reason == "no room"
    context.begin("C/D")
    assert context.size_reason == ""


def test_what_a_strategy_writes_into_its_context_is_gone_at_the_next_callback() -> None:
    import random

    context = Context(Counting(), "A/B", random.Random(1))  # type: ignore[arg-type]
    context.position_lots = 99
    context.begin("A/B")
    assert context.position_lots == 1


def test_a_fixed_context_serves_tests_of_strategies_and_refuses_unknown_names() -> None:
    context = Context.fixed(
        symbol="A/B", now_ns=5, position_lots=3, markets={"C/D": {"position_lots": 7, "state": "halted"}}
    )
    assert (context.now_ns, context.position_lots, context.market("A/B").position_lots) == (5, 3, 3)
    assert (context.market("C/D").position_lots, context.market("C/D").state) == (7, "halted")
    with pytest.raises(LookupError):
        _ = context.equity
    with pytest.raises(TypeError, match="colour"):
        Context.fixed(symbol="A/B", colour=1)


def test_the_base_class_answers_every_callback_of_the_contract_with_nothing() -> None:
    callbacks = [name for name, _ in inspect.getmembers(Strategy, inspect.isfunction) if name[:3] == "on_"]
    assert set(callbacks) >= {"on_start", "on_bar", "on_stop", "on_timer"}
    for name in callbacks:
        method = getattr(StrategyBase(), name)
        assert method(*[None] * len(inspect.signature(method).parameters)) == []


class Looking(Scripted):
    """Notes what its context shows at each book."""

    def on_book(self, context: Context, book: object) -> list[StrategyIntent]:
        self.shown = (
            context.position_lots,
            context.average_price,
            context.book,
            context.state,
            context.hold_reason,
            context.size(SYMBOL, Side.BUY, 5_000_000, 4_990_000),
            context.size_reason,
        )
        return super().on_book(context, book)


async def test_the_context_of_a_running_strategy_shows_position_cost_book_and_state() -> None:
    world = await TraderWorld.open(strategy=Looking())
    await world.hold(40)
    await world.levels(bids=[(4_999_700, 3)])
    lots, average, book, state, hold, size, reason = world.strategy.shown  # type: ignore[attr-defined]
    assert (lots, average, state, hold) == (40, Decimal("50001.00"), "normal", "")
    assert book.bids[0][0] == 5_000_000
    assert size == 0 and reason.startswith("AveragingDown"), "the sizer of risk is attached"
    world.trader.sizer = lambda strategy, request: (len(strategy), request.symbol)
    source = Source(world.trader, "scripted")
    request = SizeRequest(symbol=SYMBOL, side=Side.BUY, price_ticks=2, stop_ticks=1)
    assert source.size(request) == (8, SYMBOL)


async def test_hooks_hear_markets_seconds_orders_and_fills() -> None:
    world = await TraderWorld.open()
    heard: list[str] = []
    world.trader.on_market_hooks.append(lambda event: heard.append(type(event).__name__))
    world.trader.on_second.append(lambda now_ns: heard.append("second"))
    world.trader.on_fill_hooks.append(lambda order, fill: heard.append(f"fill {fill.lots}"))
    world.trader.on_order_hooks.append(lambda order: heard.append(str(order.state)))
    await world.hold(40)
    await world.wait_ms(1_500)
    assert {"BookDelta", "fill 40", "filled", "second"} <= set(heard)


class Keeper:
    """Something with a memory."""

    def __init__(self, value: int) -> None:
        self.value = value

    def take(self) -> dict[str, int]:
        return {"value": self.value}

    def load(self, data: bytes) -> None:
        self.value = msgspec.json.decode(data, type=dict[str, int])["value"]


async def test_a_wish_of_another_part_goes_through_risk_and_is_told_its_verdict() -> None:
    world = await TraderWorld.open()
    from tradewind.trader.risk.check import Path

    told: list[tuple[list[str], str | None]] = []
    world.trader.wish(
        "other", Path.STRATEGY, buy(4_999_900, 10), lambda d, i: told.append(([x.code for x in d], i))
    )
    world.trader.wish("other", Path.STRATEGY, buy(4_999_900, 9_000), lambda d, i: told.append(([], i)))
    await world.trader.step()
    assert (told[0][0], told[1][1]) == ([], None)
    assert [order.intent.strategy for order in world.trader.oms.working()] == ["other"]


def test_five_minute_volume_counts_whole_lots_and_is_unknown_before_five_minutes() -> None:
    volumes = Volumes()
    volumes.watch("A", 0)
    volumes.add("A", 25, 10, 1)
    volumes.add("A", 6, 10, 2)
    assert volumes.lots("A", WINDOW_NS - 1) is None
    volumes.add("A", 10, 10, WINDOW_NS - 1)
    assert volumes.lots("A", WINDOW_NS - 1) is None
    assert volumes.lots("A", WINDOW_NS) == 1
    assert volumes.lots("A", 3 * WINDOW_NS) == 0
    volumes.add("A", 10, 10, 4 * WINDOW_NS)
    assert volumes.lots("A", 5 * WINDOW_NS - BUCKET_NS) == 1
    assert volumes.lots("A", 5 * WINDOW_NS) == 0
    assert volumes.lots("B", 0) is None


async def test_a_checkpoint_restores_what_other_parts_keep() -> None:
    world, fresh = await TraderWorld.open(), await TraderWorld.open(live=False)
    world.trader.checkpointed["keeper"] = Keeper(7)
    keeper = fresh.trader.checkpointed["keeper"] = Keeper(0)
    saved = checkpoint.parse(checkpoint.take(world.trader, Place(1, 1, b"")))
    checkpoint.load(fresh.trader, saved)
    assert keeper.value == 7
