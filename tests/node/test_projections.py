"""Views: rebuilt from the log they equal the live ones, and they agree with the engine's own state."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from exchange_world import BTC, OPERATOR, START_NS, USDC, World, genesis, owner_key
from node_world import Starter

from tradewind import _core
from tradewind.core import commands, journal
from tradewind.core.engine import Engine
from tradewind.core.enums import CancelReason, Line, MarketStatus, SelfTradePrevention, Side, TimeInForce
from tradewind.core.events import decode_results
from tradewind.node.projections.base import ProjectionGap
from tradewind.node.projections.exchange import ExchangeViews
from tradewind.node.projections.ledger import LedgerOutOfBalance, LedgerView
from tradewind.node.projections.orders import OrderStatus, OrdersView

TRADERS = 4


def random_flow(world: World, rng: random.Random, count: int) -> list[bytes]:
    """Placing, taking, replacing and cancelling of every kind, some of it refused."""
    flow: list[bytes] = []
    for _ in range(count):
        trader, side = rng.randrange(TRADERS), Side(rng.randrange(2))
        choice, price = rng.random(), 6_000_000 + rng.randint(-30, 30) * 10
        if choice < 0.65:
            flow.append(
                world.order(
                    trader,
                    side,
                    price,
                    rng.randint(1, 30),
                    time_in_force=rng.choice(
                        [TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK]
                    ),
                    self_trade_prevention=rng.choice(list(SelfTradePrevention)),
                )
            )
        elif choice < 0.85:
            flow.append(world.cancel(trader, rng.randint(1, max(2, count))))
        elif choice < 0.95:
            flow.append(
                commands.replace_order(
                    principal=owner_key(trader),
                    account=world.account(trader),
                    client_key=world.key(),
                    order=rng.randint(1, max(2, count)),
                    price=rng.choice([0, price]),
                    total_lots=rng.choice([0, rng.randint(1, 40)]),
                )
            )
        else:
            flow.append(
                commands.cancel_all(principal=owner_key(trader), account=world.account(trader), market=0)
            )
    return flow


def state_of(views: ExchangeViews) -> dict[str, object]:
    """Everything that the views show, comparable."""
    return {
        "seq": views.applied_seq,
        "assets": views.assets.by_number,
        "accounts": views.accounts.by_handle,
        "markets": views.markets.by_handle,
        "accounts lines": views.ledger._accounts,
        "system lines": dict(views.ledger._system),
        "open": views.orders.open,
        "ended": list(views.orders.ended),
        "books": {m: [views.books.book(m).levels(side) for side in Side] for m in views.books.markets()},
        "tape": {m: list(tape.trades) for m, tape in views.trades.tapes.items()},
        "candles": {
            m: {s: list(c) for s, c in tape.candles.items()} for m, tape in views.trades.tapes.items()
        },
    }


async def test_views_rebuilt_from_the_log_equal_the_live_ones(start: Starter, world: World) -> None:
    rng = random.Random(3)
    node = await start()
    live = ExchangeViews()
    await node.attach(live.apply, name="live")
    await node.submit(world.setup(TRADERS))
    flow = random_flow(world, rng, 600)
    position = 0
    while position < len(flow):
        size = rng.randint(1, 40)
        await node.submit(flow[position : position + size])
        position += size
    late = ExchangeViews()
    await node.attach(late.apply, name="late")
    again = ExchangeViews()
    again.rebuild(node.journal_path)
    assert len(live.trades.tape(0).trades) > 50 and len(live.orders.ended) > 100
    assert state_of(live) == state_of(late) == state_of(again)
    live.ledger.check()


@pytest.mark.parametrize("seed", range(5))
def test_views_agree_with_the_engines_own_state(seed: int) -> None:
    rng, world, views = random.Random(seed), World(), ExchangeViews()
    engine = Engine(genesis())
    views.apply(engine.apply(world.setup(TRADERS), START_NS + 1))
    for step in range(30):
        views.apply(engine.apply(random_flow(world, rng, 40), START_NS + 2 + step))
        views.ledger.check()
        for side in Side:
            levels = [(level.price, level.lots, level.orders) for level in views.books.book(0).levels(side)]
            assert levels == engine.core.levels(0, side, 1_000)
        assert len(views.orders.open) == engine.core.sizes()[0]
        for trader in range(TRADERS):
            account = views.accounts.by_owner[owner_key(trader)]
            for asset in (BTC, USDC):
                for line in (Line.FREE, Line.HELD):
                    engine_amount = engine.core.balance(account.account_id, 0, asset, line)
                    assert views.ledger.line(account.account, asset, line) == engine_amount
        for line, key, asset, amount in views.ledger.system_lines():
            assert engine.core.system_balance(line, key, asset) == amount


def test_fees_on_the_tape_are_the_fees_in_the_ledger() -> None:
    rng, world, views = random.Random(11), World(), ExchangeViews()
    engine = Engine(genesis())
    views.apply(engine.apply(world.setup(TRADERS), START_NS + 1))
    views.apply(engine.apply(random_flow(world, rng, 400), START_NS + 2))
    fee_lines = (Line.VAULT_CASH, Line.STAKER_POOL, Line.MAKER_FUND, Line.INSURANCE)
    collected = sum(views.ledger.system_line(line, USDC) for line in fee_lines)
    assert collected == views.trades.tape(0).fees > 0
    orders = [*views.orders.open.values(), *views.orders.ended]
    assert sum(order.fees for order in orders) == collected
    assert sum(order.filled_notional for order in orders) == 2 * views.trades.tape(0).total_notional


def test_orders_end_with_the_reason_and_the_filled_amount() -> None:
    world, views = World(), ExchangeViews()
    engine = Engine(genesis())
    views.apply(engine.apply(world.setup(2), START_NS + 1))
    resting = world.order(0, Side.SELL, 6_000_000, 10)
    immediate = world.order(1, Side.BUY, 6_000_000, 15, time_in_force=TimeInForce.IOC)
    batch = engine.apply([resting, immediate], START_NS + 2)
    views.apply(batch)
    sold, bought = (views.orders.get(result.value) for result in decode_results(batch.results))
    assert sold is not None and bought is not None
    assert (sold.status, sold.filled_lots, sold.remaining_lots, sold.reason) == (
        OrderStatus.FILLED,
        10,
        0,
        None,
    )
    assert (bought.status, bought.filled_lots, bought.reason) == (OrderStatus.CANCELLED, 10, CancelReason.IOC)
    assert views.orders.by_client_key(bought.account, bought.client_key) is bought
    assert views.orders.of_account(bought.account) == []


def test_ended_orders_are_bounded() -> None:
    world, engine = World(), Engine(genesis())
    views = ExchangeViews()
    views.orders = small = OrdersView(ended_kept=5)
    views.views = (small,)
    views.apply(engine.apply(world.setup(1), START_NS + 1))
    for number in range(40):
        frame = [world.order(0, Side.BUY, 5_900_000 + number, 1, time_in_force=TimeInForce.IOC)]
        views.apply(engine.apply(frame, START_NS + 2 + number))
    assert len(small.ended) == len(small._ended_by_id) == len(small._by_key) == 5


def test_market_status_and_pause_follow_the_events() -> None:
    world, views, engine = World(), ExchangeViews(), Engine(genesis())
    views.apply(engine.apply(world.setup(1), START_NS + 1))
    market = views.markets.by_handle[0]
    assert (market.status, market.scale.unit) == (MarketStatus.ACTIVE, 10)
    assert views.markets.by_id[market.market_id] is market
    assert market.market_id == _core.derive_market_id(_core.derive_account_id(OPERATOR), 1)
    close = commands.close_market(principal=OPERATOR, client_key=world.key(), market=0)
    views.apply(engine.apply([close], START_NS + 2))
    assert views.markets.by_handle[0].status is MarketStatus.CLOSED


def test_batches_are_applied_once_and_a_gap_is_refused() -> None:
    world, engine, views = World(), Engine(genesis()), ExchangeViews()
    first = engine.apply(world.setup(1), START_NS + 1)
    second = engine.apply([world.order(0, Side.BUY, 5_000_000, 1)], START_NS + 2)
    third = engine.apply([world.order(0, Side.BUY, 5_000_001, 1)], START_NS + 3)
    views.apply(first)
    before = state_of(views)
    views.apply(first)
    assert state_of(views) == before
    with pytest.raises(ProjectionGap):
        views.apply(third)
    views.apply(second)
    views.apply(third)
    assert len(views.orders.open) == 2


def test_postings_that_do_not_sum_to_zero_are_found() -> None:
    import msgspec

    from tradewind.core.base import Posting
    from tradewind.core.events import decode_events

    world, engine = World(), Engine(genesis())
    events = list(decode_events(engine.apply(world.setup(1), START_NS + 1)))
    deposited = next(event for event in events if event.postings)  # type: ignore[attr-defined]
    first, *rest = deposited.postings  # type: ignore[attr-defined]
    forged = msgspec.structs.replace(
        deposited,
        postings=(Posting(first.owner, first.asset, first.line, first.sub, first.amount + 1), *rest),
    )
    with pytest.raises(LedgerOutOfBalance):
        LedgerView().on_event(forged)


async def test_tables_rebuilt_in_any_portions_hold_what_the_views_hold(
    start: Starter, world: World, tmp_path: Path
) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    from tradewind.node.projections import sql

    rng = random.Random(5)
    node = await start()
    views = ExchangeViews()
    await node.attach(views.apply, name="views")
    await node.submit(world.setup(TRADERS))
    projection = sql.SqlProjection(f"sqlite:///{tmp_path / 'views.db'}")
    for _ in range(12):
        await node.submit(random_flow(world, rng, 50))
        if rng.random() < 0.5:
            projection.apply(list(journal.batches(node.journal_path)))
    assert projection.rebuild(node.journal_path) == views.applied_seq == projection.rebuild(node.journal_path)
    _assert_tables_equal_views(sqlalchemy, sql, projection, views)
    projection.drop()
    assert projection.applied_seq() == 0
    sql.BATCHES_PER_TRANSACTION = 3
    assert projection.rebuild(node.journal_path) == views.applied_seq
    _assert_tables_equal_views(sqlalchemy, sql, projection, views)


def _assert_tables_equal_views(sqlalchemy, sql, projection, views: ExchangeViews) -> None:  # type: ignore[no-untyped-def]
    with projection.engine.connect() as connection:
        amounts = {
            (row.owner, row.sub, row.asset, row.line): row.amount
            for row in connection.execute(sqlalchemy.select(sql.balances))
            if row.amount
        }
        orders = {row.order_id: row for row in connection.execute(sqlalchemy.select(sql.orders))}
        trades = connection.execute(
            sqlalchemy.select(sql.trades).order_by(sql.trades.c.seq, sql.trades.c.event_index)
        )
        prices = [(row.price, row.lots) for row in trades]
        [market] = connection.execute(sqlalchemy.select(sql.markets)).all()
    expected = {
        (owner, sub, asset, line): amount
        for owner, lines in views.ledger._accounts.items()
        for (sub, asset, line), amount in lines.items()
        if amount
    }
    expected |= {
        (key, 0, asset, int(line)): amount
        for line, key, asset, amount in views.ledger.system_lines()
        if amount
    }
    assert amounts == expected
    assert {order for order, row in orders.items() if row.is_open} == set(views.orders.open)
    for order in [*views.orders.open.values(), *views.orders.ended]:
        row = orders[order.order]
        assert row.reason == (order.reason.name.lower() if order.reason else None)
        assert (
            row.remaining_lots,
            row.filled_lots,
            row.filled_notional,
            row.fees,
            row.total_lots,
            row.price,
        ) == (
            order.remaining_lots,
            order.filled_lots,
            order.filled_notional,
            order.fees,
            order.total_lots,
            order.price,
        )
    assert prices == [(trade.price, trade.lots) for trade in views.trades.tape(0).trades]
    assert market.status == "ACTIVE"


def test_other_databases_are_refused() -> None:
    pytest.importorskip("sqlalchemy")
    from tradewind.node.projections import sql

    class Dialect:
        name = "mysql"

    class Engine:
        dialect = Dialect()

    original = sql.sa.create_engine
    sql.sa.create_engine = lambda url: Engine()  # type: ignore[assignment,misc]
    try:
        with pytest.raises(sql.UnsupportedDatabase):
            sql.SqlProjection("mysql://x")
    finally:
        sql.sa.create_engine = original  # type: ignore[misc]
