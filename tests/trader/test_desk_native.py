"""The order desk on our own markets: a trader with a journal of its own, the native connector, a node."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path

import pytest
from conformance.native_world import TRADE_TOKEN, NativeWorld

from tradewind.core.engine import GenesisConfig, Grant
from tradewind.core.enums import Role
from tradewind.gateways.faults import Fault, Plan, Rule
from tradewind.node.limits import NodeLimits
from tradewind.node.service import NodeService
from tradewind.trader.ledger import Ledger
from tradewind.trader.oms import Identity, Oms, OrderRequest
from tradewind.trader.orders import State
from tradewind.trader.venue_desk import NotTrading, VenueDesk
from tradewind.venues.market_data import Side
from tradewind.venues.native.assemble import open_native
from tradewind.venues.native.connector import NativeOptions, NativeVenue
from tradewind.venues.native.messages import ApiToken
from tradewind.venues.paper.port import NodePort
from tradewind.venues.transport.backoff import BackoffPolicy
from tradewind.venues.transport.keys import KeyFolder
from tradewind.venues.transport.private_link import PrivateLimits

SYMBOL, ACCOUNT = "BTC/USDT", "desk"
MIDDLE, LOTS = 600_000, 100
DEEP = {"USDT": Decimal(10_000_000), "BTC": Decimal(500)}
FUNDS = {ACCOUNT: {"USDT": Decimal(100_000)}, "taker": DEEP}
SYSTEM = bytes(range(32))
YEAR_NS = 360 * 86_400 * 10**9
DEADLINE_S = 20.0


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 conditions of several parties, none of which tells us
            await asyncio.sleep(0.01)


class DeskWorld:
    """A desk with its connector and its journal; `async with`, as often as a process would start."""

    desk: VenueDesk
    venue: NativeVenue

    def __init__(self, data: Path, market: NativeWorld) -> None:
        self.data, self.market = data, market

    async def __aenter__(self) -> DeskWorld:
        self.stack = AsyncExitStack()
        now_ns = time.time_ns()
        node = await self.stack.enter_async_context(
            await NodeService.start(
                self.data,
                genesis=GenesisConfig(now_ns, [Grant(SYSTEM, int(Role.SYSTEM), now_ns + YEAR_NS)]),
                limits=NodeLimits(space_reserved_bytes=0),
                segment_bytes=8 << 20,
                reserve_bytes=1 << 20,
            )
        )
        options = NativeOptions(
            url=self.market.url,
            valid_for_s=1.0,
            absence_margin_s=0.2,
            answer_timeout_s=1.0,
            link=PrivateLimits(step_timeout_s=5.0),
            reconnect=BackoffPolicy(base_s=0.02, ceiling_s=0.2, max_attempts=1_000),
        )
        keys = KeyFolder(self.data / "keys")
        self.venue = await self.stack.enter_async_context(
            open_native(ApiToken(TRADE_TOKEN), keys, account=ACCOUNT, options=options)
        )
        assert await self.venue.open(), self.venue.channel.link.transitions
        listed = {one.symbol: one for one in self.venue.mirror.directory.instruments}
        identity = Identity(
            environment="sim", account=ACCOUNT, venue="native", epoch=1, limits_hash="-", config_hash="-"
        )
        port = NodePort(node)
        self.desk = VenueDesk(
            self.venue,
            port,  # type: ignore[arg-type]
            Oms(identity, listed, Ledger()),
            horizon_ns=1_500_000_000,
            max_intent_age_ns=600 * 10**9,
        )
        self.records = self.desk.recover(port.history())
        await self.desk.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.desk.stop()
        await self.stack.aclose()

    async def take(self, lots: int, price_ticks: int = MIDDLE - 10) -> None:
        price, size = str(Decimal(price_ticks) / 10), str(Decimal(lots) / 10_000)
        await self.market.place("taker", SYMBOL, "sell", price, size, time_in_force="ioc")

    def equal(self) -> bool:
        """Whether our ledger is the node's, to the last unit."""
        views = self.market.views
        account = self.market.directory.account(ACCOUNT).account
        theirs = {
            views.assets.by_number[one.asset].symbol: Decimal(one.free + one.held) / 1_000_000
            for one in views.ledger.balances(account)
            if one.free + one.held
        }
        ledger = self.desk.ledger
        ours = {asset: ledger.total(asset) for asset in ledger.assets()}
        return theirs == {asset: amount for asset, amount in ours.items() if amount}

    def own_orders(self) -> int:
        views = self.market.views
        account = self.market.directory.account(ACCOUNT).account
        ended = [one for one in views.orders.ended if one.account == account]
        return len(ended) + len(views.orders.of_account(account))


def wish(price_ticks: int = MIDDLE - 10, *, reducing: bool = False) -> OrderRequest:
    return OrderRequest(
        strategy="manual", path="test", symbol=SYMBOL, side=Side.BUY, price_ticks=price_ticks, lots=LOTS,
        reducing=reducing, decision_ns=time.time_ns(),
    )  # fmt: skip


@pytest.fixture
async def market(tmp_path: Path) -> AsyncIterator[NativeWorld]:
    one = await NativeWorld.open(tmp_path / "market")
    await one.market("BTC", "USDT", FUNDS)
    yield one
    await one.stop()


@pytest.fixture
async def world(market: NativeWorld, tmp_path: Path) -> AsyncIterator[DeskWorld]:
    async with DeskWorld(tmp_path / "desk", market) as one:
        assert one.desk.blocked == ""
        yield one


async def test_an_order_is_filled_in_parts_and_the_ledger_follows_to_the_last_unit(world: DeskWorld) -> None:
    order = await world.desk.place(wish())
    assert order.state is State.WORKING
    await world.take(40)
    await until(lambda: order.state is State.PARTIALLY_FILLED)
    await world.take(60)
    await until(lambda: order.state is State.FILLED)
    assert await world.desk.reconcile() == []
    assert world.equal()
    assert not world.desk.ledger.reservations


async def test_amended_and_cancelled_orders_hold_what_they_need(world: DeskWorld) -> None:
    order = await world.desk.place(wish(MIDDLE - 500))
    await world.desk.amend(order.client_id, price_ticks=MIDDLE - 600, lots=LOTS // 2)
    await until(lambda: order.state is State.WORKING)
    assert (order.price_ticks, order.lots) == (MIDDLE - 600, LOTS // 2)
    await world.desk.cancel(order.client_id, "not wanted")
    await until(lambda: order.state is State.CANCELLED)
    assert await world.desk.reconcile() == []
    assert not world.desk.ledger.reservations


@pytest.mark.parametrize(
    "rule",
    [
        {"action": Fault.DROP_REPLY, "delay_ms": 3_000},
        {"action": Fault.RESET, "when": "after"},
        {"action": Fault.RESET, "when": "before"},
        {"action": Fault.STATUS, "status": 502, "when": "after"},
        {"action": Fault.STATUS, "status": 502, "when": "before"},
        {"action": Fault.MALFORMED},
    ],
)
async def test_a_submit_in_doubt_ends_as_one_order_or_as_none(
    world: DeskWorld, rule: dict[str, object]
) -> None:
    once = Rule(surface="rest", name="POST /api/v1/orders", times=1, **rule)  # type: ignore[arg-type]
    world.market.plan.replace(Plan(rules=(once,)))
    order = await world.desk.place(wish(reducing=True))
    await until(lambda: order.state in {State.WORKING, State.ABANDONED})
    assert world.own_orders() == (order.state is State.WORKING)
    await until(lambda: not world.desk.blocked)
    assert await world.desk.reconcile() == []


async def test_fills_while_the_desk_is_away_are_booked_when_it_comes_back(
    market: NativeWorld, tmp_path: Path
) -> None:
    async with DeskWorld(tmp_path / "desk", market) as first:
        order = await first.desk.place(wish())
        await first.take(30)
        await until(lambda: order.filled_lots == 30)
    await first.take(70)
    async with DeskWorld(tmp_path / "desk", market) as second:
        assert second.records > 0
        again = second.desk.oms.get(order.client_id)
        assert again is not None
        await until(lambda: again.state is State.FILLED)
        await until(lambda: not second.desk.blocked)
        assert second.equal()


async def test_a_node_that_restarts_blocks_new_orders_and_loses_none(world: DeskWorld) -> None:
    order = await world.desk.place(wish())
    await world.market.stop()
    await until(lambda: not world.desk.stream_live)
    with pytest.raises(NotTrading):
        await world.desk.place(wish(MIDDLE - 20))
    await world.market.start()
    await world.take(LOTS)
    await until(lambda: order.state is State.FILLED)
    await until(lambda: not world.desk.blocked)
    assert world.equal()
    assert (await world.desk.place(wish(MIDDLE - 20))).state is State.WORKING


async def test_an_order_that_is_not_ours_blocks_new_risk(world: DeskWorld) -> None:
    await world.market.place(ACCOUNT, SYMBOL, "buy", "50000", "0.01", client_key="by-hand")
    await until(lambda: "ForeignActivity" in world.desk.blocked)
    with pytest.raises(NotTrading):
        await world.desk.place(wish())
