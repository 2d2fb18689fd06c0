"""Every algorithm at the real paper venue on a generated market; kill -9; costs from the journal alone."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from paper_world import World
from test_execution_properties import FLAT

from tradewind.trader.execution.desk import ExecutionDesk
from tradewind.trader.execution.model import Algorithm, Completion, ExecuteIntent, ParentState
from tradewind.trader.execution.records import ExecutionRecord
from tradewind.trader.execution.service_view import attach
from tradewind.trader.kill import KillSwitch
from tradewind.trader.records import TRADER_STREAM, decode
from tradewind.trader.risk.profile import load_profile
from tradewind.trader.service import TraderService
from tradewind.trader.session import Session
from tradewind.trader.strategies.idle import Idle
from tradewind.trader.strategy import Context, PlaceIntent, StrategyIntent
from tradewind.trader.tca import reading, report
from tradewind.trader.tca.facts import gather
from tradewind.venues.feeds.generated import GeneratedFeed, GeneratedMarket
from tradewind.venues.market_data import FeedEvent, Side, TopOfBook
from tradewind.venues.paper.latency import LatencyConfig
from tradewind.venues.paper.port import EnginePort
from tradewind.venues.paper.wire import stream_notes

CHILD = Path(__file__).with_name("execution_child.py")
START_NS = 1_704_067_200 * 10**9
SYMBOL = "BTC/USDT"
SLOW = GeneratedMarket(step_ms_min=400, step_ms_max=600)


class PaperRun:
    """A trader with an execution desk on a generated market and a virtual clock."""

    def __init__(
        self,
        world: World,
        session: Session,
        desk: ExecutionDesk,
        batches: list[object],
        market: list[FeedEvent],
    ) -> None:
        self.world, self.session, self.desk = world, session, desk
        self.batches = batches
        self.market = iter(market)

    @classmethod
    async def create(cls, monkeypatch: pytest.MonkeyPatch, strategy: Idle | None = None) -> PaperRun:
        batches: list[object] = []
        publish = EnginePort._publish

        def keep(port: EnginePort, batch: object) -> None:
            batches.append(batch)
            publish(port, batch)  # type: ignore[arg-type]

        monkeypatch.setattr(EnginePort, "_publish", keep)
        feed = GeneratedFeed(11, [SLOW], None, start_at_ns=START_NS)
        outside = next(iter(feed.instruments.values()))
        world = await World.create(outside=outside, latency=LatencyConfig(seed=1), start_ns=START_NS)
        trader = TraderService(
            world.venue, world.port, load_profile("paper"), strategy or Idle((SYMBOL,)), environment="sim"
        )
        desk = attach(trader)
        session = Session(world.venue, trader)
        assert not await session.open()
        market: list[FeedEvent] = []
        async for event in feed.events():
            if not isinstance(event, TopOfBook):
                market.append(event)
            if len(market) >= 3_000:
                break
        return cls(world, session, desk, batches, market)

    async def play_s(self, seconds: float) -> None:
        until_ns = self.world.port.now_ns() + int(seconds * 10**9)
        for event in self.market:
            now_ns = max(self.world.port.now_ns(), getattr(event, "recv_ts_ns", 0))
            await self.session.on_event(event, now_ns)
            if now_ns >= until_ns:
                return
        raise AssertionError("the market is over")

    async def open(self, algorithm: Algorithm, lots: int, **changes: object) -> None:
        values: dict[str, object] = {
            "symbol": SYMBOL,
            "side": Side.BUY,
            "algorithm": algorithm,
            "lots": lots,
            "completion": Completion.CROSS_AT_END,
            "completion_bps": Decimal(50),
            "seed": 3,
            **changes,
        }
        curve = FLAT if algorithm is Algorithm.VWAP else None
        self.desk.open(
            ExecuteIntent(**values),  # type: ignore[arg-type]
            strategy="manual",
            actor="operator",
            reason="test",
            curve=curve,
        )
        await self.session.trader.step()

    def records(self) -> list[ExecutionRecord]:
        found = []
        for batch in self.batches:
            for _, payload in stream_notes(batch, TRADER_STREAM):  # type: ignore[arg-type]
                record = decode(payload)
                if isinstance(record, ExecutionRecord):
                    found.append(record)
        return found


CASES = [
    (Algorithm.TWAP, 20, {"duration_s": 300, "parameters": {"interval_s": "60"}}, 330),
    (Algorithm.VWAP, 20, {"duration_s": 300, "parameters": {"interval_s": "60"}}, 330),
    (Algorithm.POV, 20, {"duration_s": 300, "parameters": {"participation_pct": "1"}}, 330),
    (Algorithm.ICEBERG, 10, {"duration_s": 240}, 300),
    (Algorithm.PASSIVE, 10, {"duration_s": 60}, 90),
]


@pytest.mark.parametrize(("algorithm", "lots", "changes", "seconds"), CASES)
async def test_an_algorithm_fills_its_parent_at_the_paper_venue(
    algorithm: Algorithm,
    lots: int,
    changes: dict[str, object],
    seconds: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = await PaperRun.create(monkeypatch)
    await run.play_s(70)
    await run.open(algorithm, lots, **changes)
    await run.play_s(seconds)
    parent = run.desk.book.parents[1]
    trader = run.session.trader
    assert (parent.state, parent.filled_lots) == (ParentState.COMPLETED, lots), parent.reason
    assert trader.ledger.total("BTC") == Decimal("0.0001") * lots
    assert await trader.reconcile() == []
    assert not trader.oms.orders
    mine = [order for order in trader.oms.finished if order.intent.tag.startswith("parent:1/")]
    assert sum(order.filled_lots for order in mine) == lots
    assert {order.intent.path for order in mine} == {"algorithm"}
    # the cost report is a function of the records alone, and its parts are the whole
    facts = gather(run.records())
    document = report.report(facts)
    assert report.encode(document) == report.encode(report.report(gather(run.records())))
    (row,) = document.parents
    assert row.shortfall is not None
    assert sum(row.shortfall.parts) == row.shortfall.total
    assert row.shortfall.opportunity == 0
    bought = sum((fill.lots * fill.price_ticks for fill in facts.fills[1]), 0)
    assert row.shortfall.total == (
        Decimal("0.000001") * bought - row.arrival_mid * row.filled + row.shortfall.fees
    )
    assert row.shortfall.fees == parent.fees == trader.ledger.positions[SYMBOL].fees["USDT"]


async def test_a_single_order_has_a_cost_row_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    from tradewind.venues.protocol import TimeInForce

    run = await PaperRun.create(monkeypatch)
    await run.play_s(310)
    mark = run.desk.view.mark(SYMBOL)
    assert mark is not None
    order = PlaceIntent(
        symbol=SYMBOL,
        side=Side.BUY,
        price_ticks=mark.ask_ticks + 5_000,
        lots=10,
        post_only=False,
        time_in_force=TimeInForce.IOC,
    )
    denied, client_id = await run.session.trader.submit(order)
    assert not denied
    await run.play_s(400)
    (row,) = report.report(gather(run.records())).singles
    assert (row.id, row.state, row.filled) == (client_id, "filled", Decimal("0.001"))
    assert row.shortfall is not None
    assert sum(row.shortfall.parts) == row.shortfall.total
    assert row.reversion_bps["1m"] is not None
    assert row.reversion_bps["5m"] is not None
    assert row.reversion_bps["30m"] is None


async def test_a_halt_aborts_the_parent_and_leaves_no_order(monkeypatch: pytest.MonkeyPatch) -> None:
    run = await PaperRun.create(monkeypatch)
    await run.play_s(70)
    await run.open(Algorithm.TWAP, 60, duration_s=300)
    await run.play_s(20)
    result = await KillSwitch(run.session).halt("op", "drill")
    assert result.verified
    await run.play_s(5)
    assert run.desk.book.parents[1].state is ParentState.ABORTED
    assert not await run.world.venue.open_orders(None)


def manual(run: PaperRun, lots: int) -> PlaceIntent:
    mark = run.desk.view.mark(SYMBOL)
    assert mark is not None
    return PlaceIntent(symbol=SYMBOL, side=Side.BUY, price_ticks=mark.bid_ticks - 100, lots=lots)


async def test_what_a_parent_has_not_placed_counts_in_the_worst_case(monkeypatch: pytest.MonkeyPatch) -> None:
    run = await PaperRun.create(monkeypatch)
    await run.play_s(70)
    await run.open(Algorithm.TWAP, 60, duration_s=300)  # 3.6 % of equity; L05 is 5 %
    await run.play_s(20)
    assert run.desk.book.parents[1].children_count >= 1, "its own children fit"
    trader = run.session.trader
    denied, _ = await trader.submit(manual(run, 30))
    assert [one.code for one in denied] == ["PositionNotional"]
    with monkeypatch.context() as mutation:
        mutation.setattr(trader, "planned", list)
        denied, _ = await trader.submit(manual(run, 30))
        assert not denied, "without the parents nobody would have seen it"


async def test_flatten_is_not_stopped_by_what_a_parent_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    run = await PaperRun.create(monkeypatch)
    await run.play_s(70)
    await run.open(Algorithm.PASSIVE, 20, duration_s=10)
    await run.play_s(15)
    assert run.session.trader.ledger.total("BTC") == Decimal("0.002")
    await run.open(Algorithm.TWAP, 20, duration_s=300, side=Side.SELL)
    await run.play_s(5)
    assert (await KillSwitch(run.session).flatten("op", "drill")).verified
    assert run.session.trader.ledger.total("BTC") == 0


class Asks(Idle):
    """A strategy that asks for one parent."""

    asked = False

    def __init__(self, symbols: tuple[str, ...], *, executes: bool = True) -> None:
        super().__init__(symbols)
        self.manifest = msgspec.structs.replace(self.manifest, executes=executes)

    def on_timer(self, context: Context) -> list[StrategyIntent]:
        if self.asked or context.market(SYMBOL).book is None:
            return []
        self.asked = True
        return [
            ExecuteIntent(
                symbol=SYMBOL,
                side=Side.BUY,
                lots=20,
                algorithm=Algorithm.PASSIVE,
                duration_s=20,
                completion=Completion.CANCEL_REST,
            )
        ]


async def test_a_strategy_asks_for_a_parent_and_owns_what_it_fills(monkeypatch: pytest.MonkeyPatch) -> None:
    run = await PaperRun.create(monkeypatch, Asks((SYMBOL,)))
    await run.play_s(40)
    trader = run.session.trader
    assert trader.hosts.find("none").error is None
    parent = run.desk.book.parents[1]
    assert (parent.state, parent.opened.strategy) == (ParentState.COMPLETED, "none")
    assert trader.books.lots("none", SYMBOL) == 20
    assert await trader.reconcile() == []


async def test_a_parent_that_was_not_declared_is_nonsense(monkeypatch: pytest.MonkeyPatch) -> None:
    run = await PaperRun.create(monkeypatch, Asks((SYMBOL,), executes=False))
    await run.play_s(5)
    assert "no intent" in str(run.session.trader.hosts.find("none").error)
    assert not run.desk.book.parents


def life(data: Path, verb: str, seconds: float) -> dict[str, object]:
    """One process; killed after `seconds` unless it reports."""
    process = subprocess.Popen(
        [sys.executable, str(CHILD), str(data), verb],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if verb == "report":
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        found: dict[str, object] = json.loads(out.strip().splitlines()[-1])
        return found
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.strip() == "trading", process.stderr.read() if process.stderr else ""
    time.sleep(seconds)
    process.kill()
    process.communicate(timeout=60)
    return {}


def test_after_kill_9_the_same_parents_go_on_and_nothing_is_exceeded(tmp_path: Path) -> None:
    for seconds in (2.2, 3.1):
        life(tmp_path, "trade", seconds)
        found = life(tmp_path, "report", 0)
        assert found["differences"] == []
        assert found["parents"], "no parent was opened"
        for parent in found["parents"]:  # type: ignore[attr-defined]
            assert parent["committed"] <= parent["lots"]
            assert parent["filled"] == parent["filled_at_venue"], parent
            assert parent["working_at_venue"] <= parent["lots"] - parent["filled"]
    assert len(found["parents"]) == 2  # type: ignore[arg-type]
    facts = reading.read(tmp_path / "journal")
    first = report.encode(report.report(facts))
    assert first == report.encode(report.report(reading.read(tmp_path / "journal")))
    assert sum(parent.filled_lots for parent in facts.book.parents.values()) > 0
