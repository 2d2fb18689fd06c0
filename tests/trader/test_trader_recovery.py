"""Recovery by replay (T7.11): kill -9 at each point, then one venue order per intent or none, and no
difference.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from paper_world import SYMBOL
from trader_world import TraderWorld, buy

from tradewind import _core
from tradewind.core.records import codec
from tradewind.trader.orders import State
from tradewind.trader.records import TRADER_STREAM, Intent, Kind, decode, encode
from tradewind.trader.risk.state import TradingState
from tradewind.trader.service import TraderService
from tradewind.venues.paper.port import EnginePort
from tradewind.venues.paper.venue import PaperVenue
from tradewind.venues.paper.wire import BatchLike, stream_notes

CHILD = Path(__file__).with_name("paper_child.py")
DEADLINE_S = 60


def child(data: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(CHILD), str(data), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def recovered(data: Path) -> dict[str, object]:
    process = child(data, "report")
    out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, err
    found: dict[str, object] = json.loads(out.strip().splitlines()[-1])
    return found


def journal_orders(data: Path) -> tuple[list[str], Counter[str]]:
    """Client ids of the journaled intents, and how often each was accepted by the engine."""
    reader = _core.JournalReader(data / "journal", 0)
    intents, placed = [], Counter[str]()
    kind, op, _ = _core.command_kinds()["PlaceOrder"]
    commands = codec("Command")
    results = codec("CommandResult")
    while (batch := reader.next()) is not None:
        for note_kind, payload in stream_notes(batch, TRADER_STREAM):
            if note_kind == Kind.INTENT:
                record = decode(payload)
                assert isinstance(record, Intent)
                intents.append(record.client_id)
        for number in range(len(batch.commands) // commands.size):
            command = commands.unpack(batch.commands, number * commands.size)
            result = results.unpack(batch.results, number * results.size)
            if (
                (command["kind"], command["op"]) == (kind, op)
                and any(command["client_key"])
                and result["accepted"]
            ):
                placed["tw" + command["client_key"].decode()] += 1
    return intents, placed


def check(data: Path) -> dict[str, object]:
    """What must hold after any crash."""
    found = recovered(data)
    assert found["differences"] == []
    assert found["after"] == []
    assert found["state"] == "NORMAL"
    assert found["duplicates"] == 0
    intents, placed = journal_orders(data)
    assert len(intents) == len(set(intents)) == found["intents"]
    assert set(placed) <= set(intents), "an order without an intent"
    assert set(placed.values()) <= {1}, "an intent with two orders"
    states = dict(found["working"]) | dict(found["finished"])  # type: ignore[call-overload]
    for client_id in intents:
        if client_id not in placed:
            assert states[client_id] in {"abandoned", "rejected"}, (client_id, states[client_id])
        else:
            assert states[client_id] != "abandoned"
    assert _core.journal_replay(data / "journal")["state_hash"]
    return found


@pytest.mark.parametrize(
    ("point", "count"),
    [("before_intent", 2), ("after_intent", 2), ("sent", 4), ("accepted", 4), ("acked", 4), ("filled", 2)],
)
def test_after_kill_9_at_each_point_every_intent_has_one_order_or_is_abandoned(
    tmp_path: Path, point: str, count: int
) -> None:
    process = child(tmp_path, "1", point, str(count))
    _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == -signal.SIGKILL, err
    found = check(tmp_path)
    assert int(str(found["intents"])) > 0 or point == "before_intent"


def test_killed_at_any_moment_again_and_again_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    intents = 0
    for delay_s in (0.3, 0.7, 0.45):
        process = child(tmp_path, "1")
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "trading"
        time.sleep(delay_s)
        process.kill()
        process.communicate(timeout=DEADLINE_S)
        found = check(tmp_path)
        assert int(str(found["intents"])) >= intents
        intents = int(str(found["intents"]))
    assert intents > 0


class Recorder:
    """Keeps the batches of a bare engine, as a journal would."""

    def __init__(self, port: EnginePort) -> None:
        self.batches: list[BatchLike] = []
        port.listen(self.batches.append)


async def again(world: TraderWorld, batches: list[BatchLike]) -> TraderService:
    """A second life: a new venue and trader over the same engine, rebuilt from the batches alone."""
    port = EnginePort(world.port.engine, world.port.system, world.port.now_ns())
    venue = PaperVenue(port, world.setup)
    trader = TraderService(venue, port, world.trader.profile, type(world.strategy)(), environment="sim")
    await trader.recover(batches)
    return trader


async def recorded_world(monkeypatch: pytest.MonkeyPatch) -> tuple[TraderWorld, list[BatchLike]]:
    """A world whose every batch is kept, the set-up included."""
    batches: list[BatchLike] = []
    publish = EnginePort._publish

    def keep(self: EnginePort, batch: BatchLike) -> None:
        batches.append(batch)
        publish(self, batch)

    monkeypatch.setattr(EnginePort, "_publish", keep)
    return await TraderWorld.open(), batches


async def test_a_latched_state_and_its_day_base_survive_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    world, batches = await recorded_world(monkeypatch)
    await world.hold(40)
    await world.kill.halt("op", "drill")
    trader = await again(world, batches)
    assert trader.state() is TradingState.HALTED
    assert trader.states.active() == world.trader.states.active()
    assert trader.loss.base == world.trader.loss.base
    assert trader.ledger.lines == {k: v for k, v in world.trader.ledger.lines.items()}
    assert trader.ledger.positions == world.trader.ledger.positions
    assert await trader.reconcile() == []


async def test_working_orders_are_adopted_with_their_reservations(monkeypatch: pytest.MonkeyPatch) -> None:
    world, batches = await recorded_world(monkeypatch)
    await world.wish(buy(4_999_900, 10), buy(4_999_800, 20))
    await world.prints(4_999_900, 503, world_side())
    trader = await again(world, batches)
    mine = {o.client_id: (o.state, o.filled_lots, o.lots) for o in world.trader.oms.working()}
    assert {o.client_id: (o.state, o.filled_lots, o.lots) for o in trader.oms.working()} == mine
    assert (State.PARTIALLY_FILLED, 3, 10) in mine.values()
    assert trader.ledger.reservations == world.trader.ledger.reservations
    assert await trader.start() == []
    assert len(trader.oms.working()) == 2


def world_side() -> object:
    from tradewind.venues.market_data import Side

    return Side.SELL


async def test_an_intent_without_an_order_is_abandoned_once_and_stays_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, batches = await recorded_world(monkeypatch)
    monkeypatch.setattr(PaperVenue, "send", lambda *arguments: None)
    await world.wish(buy(4_999_900, 10))
    (order,) = world.trader.oms.working()
    trader = await again(world, batches)
    assert trader.oms.get(order.client_id).state is State.JOURNALED  # type: ignore[union-attr]
    await trader.start()
    assert trader.oms.get(order.client_id).state is State.ABANDONED  # type: ignore[union-attr]
    assert trader.ledger.balance("USDT", "reserved") == 0
    third = await again(world, batches)
    assert third.oms.get(order.client_id).state is State.ABANDONED  # type: ignore[union-attr]


async def test_a_young_reducing_intent_is_sent_again_under_the_same_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tradewind.trader.strategy import PlaceIntent
    from tradewind.venues.market_data import Side
    from tradewind.venues.protocol import TimeInForce

    world, batches = await recorded_world(monkeypatch)
    await world.hold(40)
    with monkeypatch.context() as lost:
        lost.setattr(PaperVenue, "send", lambda *arguments: None)
        await world.trader.submit(
            PlaceIntent(
                symbol=SYMBOL,
                side=Side.SELL,
                price_ticks=5_000_000,
                lots=40,
                post_only=False,
                time_in_force=TimeInForce.IOC,
            )
        )
    (order,) = world.trader.oms.working()
    sent: list[str] = []
    monkeypatch.setattr(PaperVenue, "send", lambda self, order, epoch, done: sent.append(order.client_id))
    trader = await again(world, batches)
    trader.venue.markets[SYMBOL].mirror = world.venue.markets[SYMBOL].mirror
    trader.venue.markets[SYMBOL].book_state = world.venue.markets[SYMBOL].book_state
    trader.venue.markets[SYMBOL].book_as_of_ns = world.port.now_ns()
    await trader.start()
    assert sent == [order.client_id]


async def test_an_unreadable_note_stops_recovery(monkeypatch: pytest.MonkeyPatch) -> None:
    from tradewind.trader.records import CancelRequest, UnreadableRecord

    world, batches = await recorded_world(monkeypatch)
    stream, kind, payload = encode(CancelRequest(client_id="x", reason="y", decision_ns=1))
    await world.port.submit([], [(stream, kind, payload[:-3])])
    with pytest.raises(UnreadableRecord):
        await again(world, batches)
