"""Random flows through an exchange equal the plainest model, also behind restarts; streams equal reads."""

from __future__ import annotations

import asyncio
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

from gateway_world import PRICE, SYMBOL, configuration
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from naive_exchange import MICRO, NaiveExchange

from tradewind.gateways.exchange import Exchange
from tradewind.gateways.model import (
    AccountEvent,
    BookChange,
    Funds,
    Order,
    OrderChanged,
    PlaceRequest,
    Refused,
)
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import FINAL_PHASES, TimeInForce

ACCOUNTS = ["demo", "other", "third"]
FUNDS = {"USD": Decimal(3_000), "BTC": Decimal("0.05")}
HOWS: dict[str, dict[str, Any]] = {
    "gtc": {},
    "post": {"post_only": True},
    "ioc": {"time_in_force": TimeInForce.IOC},
    "fok": {"time_in_force": TimeInForce.FOK},
}
STATES = {
    "working": {"working", "partially_filled"},
    "filled": {"filled"},
    "cancelled": {"cancelled"},
}

placing = st.tuples(
    st.just("place"),
    st.sampled_from(ACCOUNTS),
    st.booleans(),
    st.integers(PRICE - 8, PRICE + 8),
    st.integers(5, 3_000),
    st.sampled_from(sorted(HOWS)),
)
cancelling = st.tuples(st.just("cancel"), st.integers(0, 30))
restarting = st.tuples(st.just("restart"))
flows = st.lists(st.one_of(placing, placing, placing, placing, cancelling, restarting), max_size=40)


class Watcher:
    """What a client knows that only listens."""

    def __init__(self, exchange: Exchange) -> None:
        book = exchange.book(SYMBOL)
        self.sides = (dict(book.bids), dict(book.asks))
        self.update_id = book.update_id
        self.trades = exchange.trades(SYMBOL)
        self.orders: dict[str, dict[int, Order]] = {}
        self.funds: dict[str, dict[str, Funds]] = {}
        self.sequences: dict[str, int] = {}
        self.fills: dict[str, list[Any]] = {}
        exchange.listen_market(SYMBOL, self.on_book, self.trades.append)
        for account in ACCOUNTS:
            self.orders[account] = {one.order_id: one for one in exchange.orders(account, working=True)}
            self.funds[account] = {one.asset: one for one in exchange.funds(account)}
            self.sequences[account] = exchange.views.records.accounts[account].sequence
            self.fills[account] = exchange.fills(account)
            exchange.listen_account(account, self._listener(account))

    def on_book(self, change: BookChange) -> None:
        assert change.update_id == self.update_id + 1
        self.update_id = change.update_id
        for levels, changed in zip(self.sides, (change.bids, change.asks), strict=True):
            for price, lots in changed:
                if lots:
                    levels[price] = lots
                else:
                    del levels[price]

    def _listener(self, account: str) -> Any:
        def hear(event: AccountEvent) -> None:
            assert event.sequence == self.sequences[account] + 1
            self.sequences[account] = event.sequence
            if isinstance(event, OrderChanged):
                self.orders[account][event.order.order_id] = event.order
                if event.fill is not None:
                    self.fills[account].append(event.fill)
            else:
                self.funds[account].update({one.asset: one for one in event.funds})

        return hear

    def check(self, exchange: Exchange) -> None:
        book = exchange.book(SYMBOL)
        assert tuple(sorted(self.sides[0].items(), reverse=True)) == book.bids
        assert tuple(sorted(self.sides[1].items())) == book.asks
        assert self.update_id == book.update_id
        assert self.trades == exchange.trades(SYMBOL)
        for account in ACCOUNTS:
            working = [one for one in self.orders[account].values() if one.phase not in FINAL_PHASES]
            assert sorted(working, key=lambda one: -one.order_id) == exchange.orders(account, working=True)
            for number, order in self.orders[account].items():
                assert exchange.order(account, order_id=number) == order
            assert list(self.funds[account].values()) == exchange.funds(account)
            assert self.fills[account] == exchange.fills(account)


def check_naive(exchange: Exchange, naive: NaiveExchange) -> None:
    book = exchange.book(SYMBOL)
    assert (book.bids, book.asks) == naive.book()
    assert [(one.price_ticks, one.lots) for one in exchange.trades(SYMBOL)] == naive.trades
    for account in ACCOUNTS:
        held = naive.held(account)
        for one in exchange.funds(account):
            if one.asset in held:
                assert one.held * MICRO == held[one.asset]
                assert (one.free + one.held) * MICRO == naive.total[account][one.asset]
    for number, expected in naive.orders.items():
        found = exchange.order(expected.account, order_id=number)
        assert found is not None and str(found.phase) in STATES[expected.state]
        assert found.filled_lots == expected.filled
        assert (int(found.cost * MICRO), int(found.fee * MICRO)) == (expected.cost, expected.fee)


async def play(flow: list[Any], data: Path) -> None:
    wanted = configuration(accounts=dict.fromkeys(ACCOUNTS, FUNDS))
    exchange = await Exchange.open(data, wanted)
    naive = NaiveExchange(ACCOUNTS, 3_000 * MICRO, MICRO // 20)
    watcher = Watcher(exchange)
    try:
        for step in flow:
            if step[0] == "place":
                await place(exchange, naive, *step[1:])
            elif step[0] == "cancel":
                working = naive.working()
                if working:
                    order = working[step[1] % len(working)]
                    assert isinstance(await exchange.cancel(order.account, order.number), Order)
                    naive.cancel(order.number)
            else:
                await exchange.close()
                exchange = await Exchange.open(data, wanted)
                watcher.check(exchange)
                watcher = Watcher(exchange)
            check_naive(exchange, naive)
            watcher.check(exchange)
        exchange.views.ledger.check()
    finally:
        await exchange.close()


async def place(
    exchange: Exchange, naive: NaiveExchange, account: str, buys: bool, price: int, lots: int, how: str
) -> None:
    wish = PlaceRequest(
        symbol=SYMBOL, side=Side(1 - buys), price_ticks=price, lots=lots, client_id="", **HOWS[how]
    )
    checked = exchange.check(account, wish)
    answer = await exchange.place(account, wish)
    number = answer.order_id if isinstance(answer, Order) else 0
    expected = naive.place(number, account, buys, price, lots, how)
    if isinstance(answer, Refused):
        assert str(answer.refusal) == expected
    else:
        assert str(answer.phase) in STATES[expected]
    assert (checked is not None) == (expected == "insufficient_funds")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(flow=flows)
def test_any_flow_equals_the_naive_exchange_and_streams_equal_reads(flow: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(flow, Path(folder)))
