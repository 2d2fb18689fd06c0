"""Random faults on everything while orders are placed, changed, cancelled and filled: in the end nothing is
lost, doubled or unknown, and the books are the venue's.

`TRADEWIND_MISBEHAVE_S` sets the length, `TRADEWIND_MISBEHAVE_SEEDS` the seeds, `TRADEWIND_MISBEHAVE_PAUSE_S`
the pause between two steps; `TRADEWIND_BENCH_SPANS=own` lets connectors wait as long as in production. A
report is printed; with `TRADEWIND_MISBEHAVE_LOG` it is also written to that folder, with every fault done.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections import Counter
from pathlib import Path

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

from .bench import OWN_SPANS, Bench, TrueOrder

DURATION_S = float(os.environ.get("TRADEWIND_MISBEHAVE_S", "4"))
SEEDS = [int(one) for one in os.environ.get("TRADEWIND_MISBEHAVE_SEEDS", "1,2").split(",")]
PAUSE_S = float(os.environ.get("TRADEWIND_MISBEHAVE_PAUSE_S", "0"))
LOG = os.environ.get("TRADEWIND_MISBEHAVE_LOG", "")
MAX_OPEN = 12
HEAL_S = 120.0
ASK_S = 120.0
ASKED_ANYWAY = 50
MOST_S = 60.0
"""A doubt that lasts longer than this pages (T7.6)."""


class Run:
    """One client that keeps its own books."""

    def __init__(self, bench: Bench, seed: int) -> None:
        self.bench, self.rolls = bench, random.Random(seed)
        self.sent: dict[str, NewOrder] = {}
        self.sent_ns: dict[str, int] = {}
        self.resolved_s: list[tuple[float, float, str]] = []
        """How long each doubt lasted from when the outcome was unknown, and from when it was sent."""
        self.shown: dict[str, OrderState] = {}
        """The latest state of each order that the private stream told."""
        self.position_lots = 0
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
                    created_ns=self.sent_ns[client_id], horizon_ns=self.bench.horizon_ns,
                )
            )  # fmt: skip
            end_ns = time.monotonic_ns()
            sent_ns = self.sent_ns[client_id]
            kind = type(resolution).__name__
            self.resolved_s.append(((end_ns - begin_ns) / 1e9, (end_ns - sent_ns) / 1e9, kind))
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
                self.shown[event.state.client_id] = event.state
            elif isinstance(event, FillEvent):
                self.position_lots += event.lots if event.side is Side.BUY else -event.lots
        self._heard = len(self.bench.events)

    async def step(self) -> None:
        self.hear()
        kind = self.rolls.choice(("place", "place", "place", "cancel", "amend", "take", "take", "all"))
        price = self.bench.middle_ticks - self.rolls.randrange(1, 20)
        if kind == "take":
            side = self.rolls.choice((Side.BUY, Side.SELL))
            above = 2 * self.bench.middle_ticks - price
            await self.bench.take(side, price if side is Side.SELL else above, self.bench.usual_lots)
        elif kind == "all" and self.rolls.random() < 0.1:
            await self.bench.run(self.bench.venue.cancel_all(None, 1))
        elif (kind == "place" and len(self.working) < MAX_OPEN) or not self.working:
            await self._place(price)
        else:
            await self._change(kind, price)

    async def _place(self, price: int) -> None:
        """A purchase below the middle, or a sale above it of what was bought."""
        lots = self.rolls.randrange(1, 4) * self.bench.usual_lots
        side = Side.SELL if self.position_lots >= lots and self.rolls.random() < 0.5 else Side.BUY
        if side is Side.SELL:
            price = 2 * self.bench.middle_ticks - price
        order = self.bench.order(side, price, lots)
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
            if self.sent[client_id].side is Side.SELL:
                price = 2 * self.bench.middle_ticks - price
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
        give_up_s = time.monotonic() + HEAL_S
        while not isinstance(answer := await self.bench.venue.cancel_all(None, 1), CancelledAll):
            assert time.monotonic() < give_up_s, f"cancel-all never went through: {answer}"
            # Each try reads what is open: hurrying would use up the requests that the next one needs.
            await self.bench.step(2.0)
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
    run.hear()
    unlike = [one for one in truth if not _told(run, one)]
    some = run.rolls.sample(truth, min(ASKED_ANYWAY, len(truth)))
    for one in {one.client_id: one for one in [*unlike, *some]}.values():
        answer = await ask(bench, one.client_id)
        assert (answer.phase, answer.filled_lots) == (one.phase, one.filled_lots), (answer, one)
    run.counts["ends that only a question showed"] += len(unlike)
    fills = await bench.true_fills()

    async def all_told() -> bool:
        return sum(isinstance(one, FillEvent) for one in bench.events) >= len(fills)

    await bench.until_true(all_told, "executions that a question showed are fetched and told")
    told = [one for one in bench.events if isinstance(one, FillEvent)]
    assert len({one.key for one in told}) == len(told), "an execution was told twice"
    facts = [(one.client_id, one.price_ticks, one.lots, one.fee) for one in fills]
    assert sorted((one.client_id, one.price_ticks, one.lots, one.fee) for one in told) == sorted(facts)


def _told(run: Run, one: TrueOrder) -> bool:
    shown = run.shown.get(one.client_id)
    return shown is not None and (shown.phase, shown.filled_lots) == (one.phase, one.filled_lots)


async def ask(bench: Bench, client_id: str) -> OrderState:
    """The order; the rate limit may make this slow."""
    give_up_s, answer = time.monotonic() + ASK_S, None
    while time.monotonic() < give_up_s:
        answer = await bench.venue.query(bench.reference(client_id))
        if isinstance(answer, Found):
            return answer.state
        await bench.step(0.2)
    raise AssertionError(f"{client_id} is not found in {ASK_S:g} s: {answer}")


def quantile(values: list[float], percent: int) -> float:
    """The smallest value that this part of all does not exceed; 0 of none."""
    ordered = sorted(values)
    return round(ordered[max(0, -(-len(ordered) * percent // 100) - 1)], 2) if ordered else 0.0


def spans(values: list[float]) -> dict[str, float]:
    return {"p50": quantile(values, 50), "p99": quantile(values, 99), "max": quantile(values, 100)}


def report_of(run: Run, seed: int, seconds: float) -> dict[str, object]:
    bench = run.bench
    return {
        "venue": bench.venue.capabilities().name,
        "seed": seed,
        "seconds": round(seconds, 1),
        "own_spans": OWN_SPANS,
        "orders": len(run.sent),
        "at_the_venue": len({one.client_id for one in run.shown.values()}),
        "fills": sum(isinstance(one, FillEvent) for one in bench.events),
        "answers": run.counts,
        "doubts": len(run.resolved_s),
        "resolved": run.resolver.resolved,
        "unknown_s": spans([one for one, _, _ in run.resolved_s]),
        "since_sent_s": spans([one for _, one, _ in run.resolved_s]),
        "slowest": sorted(run.resolved_s, reverse=True)[:10],
        **bench.wire_report(),
    }


@pytest.mark.parametrize("seed", SEEDS)
async def test_random_faults_on_everything_lose_double_and_forget_nothing(bench: Bench, seed: int) -> None:
    if not bench.misbehaves:
        pytest.skip("this venue has no wire that could misbehave")
    run = Run(bench, seed)
    await bench.misbehave(seed)
    begin_s = time.monotonic()
    while time.monotonic() < begin_s + DURATION_S:
        await run.step()
        await asyncio.sleep(PAUSE_S)
    lasted_s = time.monotonic() - begin_s
    try:
        assert await run.settle() == []
        await check(run)
        balances: object = None
        while isinstance(balances, Incomplete | None):
            balances = await bench.venue.balances()
        assert {one.asset: one.total for one in balances if one.total} == {  # type: ignore[union-attr, attr-defined]
            asset: total for asset, total in (await bench.true_totals()).items() if total
        }
        assert all(one < MOST_S for one, _, _ in run.resolved_s)
    finally:
        report = json.dumps(report_of(run, seed, lasted_s))
        print(report)
        if LOG:
            name = f"{bench.venue.capabilities().name}-{seed}"
            (Path(LOG) / f"{name}.json").write_text(report)
            (Path(LOG) / f"{name}.faults.log").write_text("\n".join(bench.fault_log()))
