"""Plays a scenario on the real engine and samples what an operator would want to see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy

from tradewind.core import commands
from tradewind.core.enums import Line, Side
from tradewind.core.errors import name_of
from tradewind.lab.scenarios.plans import OPENING_TICKS, Plan
from tradewind.lab.scenarios.world import (
    BASE_E2,
    DOLLAR,
    FLOOR_MMF_PPM,
    MARKET,
    SECOND_NS,
    SIZE_K_PPM,
    START_NS,
    SYSTEM,
    UNIT,
    World,
    log_uniform,
)  # fmt: skip

MAKERS = 8
MAKER_FUNDS = 20_000_000 * DOLLAR
LEVELS = (10, 20, 40, 80, 120, 180)
"""Distances of the makers' quotes from the index in bp."""
TARGETS = (0.03, 0.45)
"""How far below the opening price shorts take their profit."""
ENTRY_STEP_NS = 500 * 10**6
ENTRY_GROWTH_PPM = 30_000
ENTRY_FREE_LOTS = 950_000
"""Open interest below $100,000 may grow at will; from there on by less than its breaker allows in 400 ms."""
STEP_NS = 500 * 10**6
LIQUIDATIONS_PER_STEP = 2_048
STEPS = ("LiquidationStepped", "BackstopTaken", "AdlExecuted")
"""Events that each move one position under liquidation."""
Tell = Callable[[str], None]


@dataclass
class Outcome:
    """Samples by second, the summary, and the seconds of breaker trips."""

    plan: Plan
    samples: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    trips: list[float] = field(default_factory=list)


@dataclass
class Cast:
    """Who trades: longs and shorts by trader number, with the lots they open, and the makers."""

    longs: list[int]
    shorts: list[int]
    lots: list[int]
    makers: list[int]


class Runner:
    """One run: build the market, open the positions, play the plan."""

    def __init__(self, plan: Plan, accounts: int, seed: int, *, audit: bool, tell: Tell) -> None:
        self.plan, self.tell = plan, tell
        self.pairs = accounts // 2
        self.world = World(2 * self.pairs + MAKERS, seed, audit=audit)
        self.outcome = Outcome(plan)
        self.began_ns = START_NS
        self.play_engine_ns = self.play_commands = 0

    def run(self) -> Outcome:
        """
        Raises:
            ScenarioFailed: the engine refused what the scenario needs, or the books do not agree.
            InvariantBroken: the auditor found a broken invariant.
        """
        world = self.world
        self.tell("opening the exchange")
        insurance = int(self.plan.insurance_dollars_per_account * 2 * self.pairs) * DOLLAR
        world.open_exchange(max(insurance, 10_000 * DOLLAR))
        cast = self.open_cast()
        self.open_positions(cast)
        self.leave_targets(cast)
        self.began_ns = world.now_ns
        engine_before, commands_before = world.engine_ns, world.commands
        self.play(cast)
        self.play_engine_ns = world.engine_ns - engine_before
        self.play_commands = world.commands - commands_before
        self.finish()
        return self.outcome

    # -- the cast -------------------------------------------------------------------------------------------

    def open_cast(self) -> Cast:
        """Longs with leverage up to the market's, shorts with little; each pair has one size."""
        source, pairs = self.world.random, self.pairs
        lots = [1_000 * round(log_uniform(source, 2, 40)) for _ in range(pairs)]
        deposits = []
        for side_leverage in ((1.5, 9.0), (1.0, 3.0)):
            for size in lots:
                value = size * OPENING_TICKS * UNIT
                deposits.append(int(value / log_uniform(source, *side_leverage)) + value // 500)
        deposits += [MAKER_FUNDS] * MAKERS
        self.tell(f"opening {len(deposits):,} accounts")
        self.world.open_accounts(deposits)
        first_maker = 2 * pairs
        makers = list(range(first_maker, first_maker + MAKERS))
        return Cast(list(range(pairs)), list(range(pairs, 2 * pairs)), lots, makers)

    def open_positions(self, cast: Cast) -> None:
        """Each short offers, its long buys; open interest grows slowly enough for the breaker on its rate."""
        world, done, open_lots = self.world, 0, 0
        while done < self.pairs:
            room = max(ENTRY_FREE_LOTS - open_lots, open_lots * ENTRY_GROWTH_PPM // 1_000_000)
            rows: list[bytes] = []
            while done < self.pairs and (room > 0 or not rows):
                size = cast.lots[done]
                rows.append(world.order(cast.shorts[done], Side.SELL, OPENING_TICKS, size))
                rows.append(world.order(cast.longs[done], Side.BUY, OPENING_TICKS, size, immediate=True))
                done, room, open_lots = done + 1, room - size, open_lots + size
            world.must(rows)
            world.now_ns += ENTRY_STEP_NS
            if done % 5_000 < 50 or (world.now_ns // ENTRY_STEP_NS) % 3 == 0:
                world.must(world.publish(OPENING_TICKS))
            world.wait(0)
            self.tell(f"{2 * done:,} positions open")

    def leave_targets(self, cast: Cast) -> None:
        """Every second short leaves a reduce-only bid below the market, where it takes its profit."""
        world, rows = self.world, []
        for place in range(0, self.pairs, 2):
            price = round(OPENING_TICKS * (1 - world.random.uniform(*TARGETS)))
            rows.append(world.order(cast.shorts[place], Side.BUY, price, cast.lots[place], reduce=True))
        world.must(rows)

    # -- playing --------------------------------------------------------------------------------------------

    def play(self, cast: Cast) -> None:
        steps_per_second = SECOND_NS // STEP_NS
        for step in range(self.plan.seconds * steps_per_second):
            second = step / steps_per_second
            price = round(self.plan.price(second))
            sources = int(self.plan.sources(second))
            if sources:
                self.world.send(self.world.publish(price, sources=sources))
            self.quote(cast, price, self.plan.depth(second))
            if self.plan.keepers(second):
                self.liquidate()
            self.world.wait(STEP_NS)
            if step % steps_per_second == 0:
                self.sample(second, cast)
                if step % (30 * steps_per_second) == 0:
                    self.tell(f"second {second:.0f}: {self.outcome.samples[-1]['pending']:,} pending")

    def quote(self, cast: Cast, price: int, depth: float) -> None:
        """Makers replace their quotes; without depth they only withdraw."""
        world = self.world
        # All withdraw before one quotes anew, or they would trade with each other's old quotes.
        rows = [world.cancel_all(maker) for maker in cast.makers]
        for maker in cast.makers:
            size = int(depth * 60_000)
            if not size:
                continue
            for distance in LEVELS:
                away = max(1, price * distance // 10_000)
                rows.append(world.order(maker, Side.BUY, price - away, size))
                rows.append(world.order(maker, Side.SELL, price + away, size))
        world.send(rows)

    def due(self) -> Any:
        """Trader numbers below maintenance, worst first."""
        books = self.world.books
        equity = books.equities(UNIT)
        margin = books.maintenance(UNIT, BASE_E2, SIZE_K_PPM, FLOOR_MMF_PPM)
        due = numpy.flatnonzero((books.lots != 0) & (equity < margin))
        order = numpy.argsort(equity[due] / numpy.maximum(1, margin[due]), kind="stable")
        # Account handles begin with the operator's.
        return due[order] - 1

    def liquidate(self) -> None:
        rows = []
        for trader in self.due()[:LIQUIDATIONS_PER_STEP].tolist():
            if not 0 <= trader < len(self.world.ids):
                continue
            rows.append(
                commands.build(
                    "Liquidate",
                    principal=SYSTEM,
                    client_key=self.world.key(),
                    target=self.world.ids[trader],
                    market=MARKET,
                )
            )
        self.world.send(rows)

    # -- sampling -------------------------------------------------------------------------------------------

    def sample(self, second: float, cast: Cast) -> None:
        """One row; refuses to go on when the books and the engine differ."""
        world, books = self.world, self.world.books
        self.check(list(world.differences()))
        equity = books.equities(UNIT)
        margin = books.maintenance(UNIT, BASE_E2, SIZE_K_PPM, FLOOR_MMF_PPM)
        holding = books.lots != 0
        first_long, first_short, first_maker = 1, 1 + self.pairs, 1 + 2 * self.pairs
        row = {
            "second": second,
            "mark": books.mark,
            "index": books.index,
            "equity_longs": int(equity[first_long:first_short].sum()),
            "equity_shorts": int(equity[first_short:first_maker].sum()),
            "equity_makers": int(equity[first_maker : first_maker + MAKERS].sum()),
            "insurance": books.system.get(Line.INSURANCE, 0),
            "fee_pool": books.system.get(Line.LIQUIDATION_FEES, 0),
            "open_interest": int(books.lots[books.lots > 0].sum()) * books.mark * UNIT,
            "pending": int((holding & (equity < margin)).sum()),
            "bankrupt": int((holding & (equity < 0)).sum()),
            "below_zero": int((equity < 0).sum()),
            "positions": int(holding.sum()),
            "trips": len(books.trips),
        }
        self.outcome.samples.append(row)

    def check(self, differences: list[str]) -> None:
        from tradewind.lab.driven import ScenarioFailed

        if differences:
            raise ScenarioFailed("; ".join(differences[:5]))

    def finish(self) -> None:
        """Compares every account with the engine and writes the summary."""
        world, books = self.world, self.world.books
        self.tell("comparing every account with the engine")
        self.check([*world.differences(), *world.account_differences()])
        last = self.outcome.samples[-1]
        # A feed that has never had a price trips its breaker, too: that was before the play.
        seconds = {(trip["time_ns"] - self.began_ns) / SECOND_NS for trip in books.trips}
        self.outcome.trips = sorted(second for second in seconds if second >= 0)
        events = {
            name: count
            for name, count in sorted(books.counts.items())
            if name.startswith(
                ("Liquidation", "Backstop", "Adl", "Loss", "Keeper", "Breaker", "Feed", "Mark")
            )
        }
        steps = sum(books.counts.get(name, 0) for name in STEPS)
        self.outcome.summary = {
            "scenario": self.plan.name,
            "summary": self.plan.summary,
            "positions_at_start": self.outcome.samples[0]["positions"],
            "positions_at_end": last["positions"],
            "insurance_at_start": self.outcome.samples[0]["insurance"],
            "insurance_at_end": last["insurance"],
            "most_pending": max(row["pending"] for row in self.outcome.samples),
            "most_bankrupt": max(row["bankrupt"] for row in self.outcome.samples),
            "accounts_below_zero_at_end": last["below_zero"],
            "events": events,
            "position_causes": {str(cause): count for cause, count in sorted(books.causes.items())},
            "refusals": {name_of(code): count for code, count in sorted(books.refusals.items())},
            "breaker_trips": books.trips[:50],
            "conserved": True,
            "commands": self.play_commands,
            "engine_seconds": self.play_engine_ns / 1e9,
            "liquidation_steps": steps,
            "liquidation_steps_per_engine_second": round(steps * 1e9 / max(1, self.play_engine_ns)),
            "state_hash": world.engine.core.state_hash().hex(),
        }
