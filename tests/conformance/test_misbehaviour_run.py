"""Random faults on everything while orders are placed, changed, cancelled and filled: in the end nothing is
lost, doubled or unknown, and the books are the venue's.

`TRADEWIND_MISBEHAVE_S` sets the length, `TRADEWIND_MISBEHAVE_SEED` the seed (both are printed).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections import Counter

import pytest

from tradewind.venues.market_data import Side
from tradewind.venues.protocol import (
    FINAL_PHASES,
    Acked,
    AlreadyFinal,
    CancelledAll,
    FillEvent,
    Found,
    Incomplete,
    NewOrder,
    OrderEvent,
    OrderState,
    Rejected,
    Uncertain,
)
from tradewind.venues.transport.resolver import Abandon, Adopt, Doubt, ResolverRunner

from .bench import Bench

DURATION_S = float(os.environ.get("TRADEWIND_MISBEHAVE_S", "15"))
SEED = int(os.environ.get("TRADEWIND_MISBEHAVE_SEED", "1"))
HORIZON_NS = 1_000_000_000
MAX_OPEN = 12
HEAL_S = 120.0


class Run:
    """One client that keeps its own books."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.rolls = bench, random.Random(SEED)
        self.sent: dict[str, NewOrder] = {}
        self.sent_ns: dict[str, int] = {}
        self.resolved_s: list[float] = []
        """How long each doubt lasted, from the moment when the outcome was unknown."""
        self.refused: set[str] = set()
        self.absent: set[str] = set()
        self.working: list[str] = []
        self.counts: Counter[str] = Counter()
        self.doubts: set[asyncio.Task[None]] = set()
        self.resolver = ResolverRunner(self._query, self._lists)
        self._heard = 0

    async def _query(self, doubt: Doubt) -> object:
        return await self.bench.venue.query(self.bench.reference(doubt.client_id))

    async def _lists(self, doubt: Doubt, since_ns: int) -> tuple[object, object]:
        since = time.time_ns() - (time.monotonic_ns() - since_ns)
        return await self.bench.venue.open_orders(doubt.symbol), await self.bench.venue.fills(max(0, since))

    def doubt(self, client_id: str, *, fresh: bool) -> None:
        """The outcome is unknown: somebody finds out while the run goes on."""

        async def find_out() -> None:
            begin_ns = time.monotonic_ns()
            resolution = await self.resolver.resolve(
                Doubt(
                    client_id=client_id, symbol=self.bench.symbol, sent_at_ns=self.sent_ns[client_id],
                    created_ns=self.sent_ns[client_id], horizon_ns=HORIZON_NS,
                )
            )  # fmt: skip
            self.resolved_s.append((time.monotonic_ns() - begin_ns) / 1e9)
            if isinstance(resolution, Abandon):
                assert fresh, f"{client_id} was acknowledged and is said to be absent"
                self.absent.add(client_id)
            else:
                assert isinstance(resolution, Adopt)
                self.working.append(client_id)

        if any(task.get_name() == client_id for task in self.doubts):
            return
        task = asyncio.create_task(find_out(), name=client_id)
        self.doubts.add(task)
        task.add_done_callback(self.doubts.discard)

    def hear(self) -> None:
        """The private stream may resolve a doubt before any query does."""
        for event in self.bench.events[self._heard :]:
            if isinstance(event, OrderEvent):
                self.resolver.seen(event.state)
        self._heard = len(self.bench.events)

    async def step(self) -> None:
        self.hear()
        kind = self.rolls.choice(("place", "place", "place", "cancel", "amend", "take", "take", "all"))
        price = self.bench.middle_ticks - self.rolls.randrange(1, 20)
        if kind == "take":
            await self.bench.take(Side.SELL, price, self.bench.usual_lots)
        elif kind == "all" and self.rolls.random() < 0.1:
            await self.bench.run(self.bench.venue.cancel_all(None, 1))
        elif (kind == "place" and len(self.working) < MAX_OPEN) or not self.working:
            await self._place(price)
        else:
            await self._change(kind, price)

    async def _place(self, price: int) -> None:
        order = self.bench.order(Side.BUY, price, self.rolls.randrange(1, 4) * self.bench.usual_lots)
        self.sent[order.client_id] = order
        self.sent_ns[order.client_id] = time.monotonic_ns()
        answer = await self.bench.run(self.bench.venue.submit(order, 1))
        code = f" {answer.code}" if isinstance(answer, Rejected) else ""
        self.counts[f"place {type(answer).__name__}{code}"] += 1
        if isinstance(answer, Acked):
            self.working.append(order.client_id)
        elif isinstance(answer, Rejected):
            self.refused.add(order.client_id)
        else:
            assert isinstance(answer, Uncertain), answer
            self.doubt(order.client_id, fresh=True)

    async def _change(self, kind: str, price: int) -> None:
        client_id = self.rolls.choice(self.working)
        reference = self.bench.reference(client_id)
        if kind == "amend":
            answer = await self.bench.run(self.bench.venue.amend(reference, 1, price_ticks=price))
        else:
            answer = await self.bench.run(self.bench.venue.cancel(reference, 1))
        assert isinstance(answer, Acked | AlreadyFinal | Rejected | Uncertain), answer
        self.counts[f"{kind} {type(answer).__name__}"] += 1
        ended = isinstance(answer, AlreadyFinal) or (kind != "amend" and isinstance(answer, Acked))
        lost = isinstance(answer, Rejected) and answer.code == "UnknownOrder"
        if ended or lost:
            self.working.remove(client_id)
            if lost:
                self.doubt(client_id, fresh=True)

    # ---- the end -----------------------------------------------------------------------------------------

    async def settle(self) -> list[OrderState]:
        """Heal everything, wait until nothing is in doubt, cancel all; returns the open orders left."""
        await self.bench.heal()
        give_up_s = time.monotonic() + HEAL_S
        while self.doubts:
            assert time.monotonic() < give_up_s, [task.get_name() for task in self.doubts]
            self.hear()
            await self.bench.step(0.05)
        while not isinstance(await self.bench.venue.cancel_all(None, 1), CancelledAll):
            assert time.monotonic() < give_up_s, "cancel-all never went through"
            await self.bench.step(0.2)
        listed: list[OrderState] | Incomplete = Incomplete("not asked", 0)
        while isinstance(listed, Incomplete):
            assert time.monotonic() < give_up_s, listed
            listed = await self.bench.venue.open_orders(None)
            await self.bench.step(0.2)
        return listed


async def check(run: Run) -> None:
    """Nothing lost, nothing doubled, nothing unknown."""
    bench = run.bench
    truth = await bench.true_orders()
    ids = Counter(one.client_id for one in truth)
    assert [one for one, count in ids.items() if count > 1] == [], "one id made two orders"
    assert set(ids) <= set(run.sent)
    assert not set(ids) & run.refused, "what was refused is not there"
    assert not set(ids) & run.absent, "what was proven absent is not there"
    assert all(one.phase in FINAL_PHASES for one in truth)
    for one in truth:
        answer = await ask(bench, one.client_id)
        assert (answer.phase, answer.filled_lots) == (one.phase, one.filled_lots), (answer, one)
    told = [one for one in bench.events if isinstance(one, FillEvent)]
    fills = await bench.true_fills()
    assert len({one.key for one in told}) == len(told), "an execution was told twice"
    facts = [(one.client_id, one.price_ticks, one.lots, one.fee) for one in fills]
    assert sorted((one.client_id, one.price_ticks, one.lots, one.fee) for one in told) == sorted(facts)


async def ask(bench: Bench, client_id: str) -> OrderState:
    """The order; the rate limit may make this slow."""
    states: list[OrderState] = []

    async def found() -> bool:
        answer = await bench.run(bench.venue.query(bench.reference(client_id)))
        if isinstance(answer, Found):
            states.append(answer.state)
        return bool(states)

    await bench.until_true(found, f"{client_id} is found")
    return states[0]


async def test_random_faults_on_everything_lose_double_and_forget_nothing(bench: Bench) -> None:
    if not bench.misbehaves:
        pytest.skip("this venue has no wire that could misbehave")
    run = Run(bench)
    await bench.misbehave(SEED)
    end_s = time.monotonic() + DURATION_S
    while time.monotonic() < end_s:
        await run.step()
    assert await run.settle() == []
    await check(run)
    balances: object = None
    while isinstance(balances, Incomplete | None):
        balances = await bench.venue.balances()
    assert {one.asset: one.total for one in balances if one.total} == {  # type: ignore[union-attr, attr-defined]
        asset: total for asset, total in (await bench.true_totals()).items() if total
    }
    report = {
        "seed": SEED,
        "seconds": DURATION_S,
        "orders": len(run.sent),
        "answers": run.counts,
        "resolved": run.resolver.resolved,
        "slowest_resolution_s": round(run.resolver.slowest_ns / 1e9, 2),
    }
    print(json.dumps(report))
