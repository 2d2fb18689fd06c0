"""The budgets of the design, and what was measured against them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal


@dataclass(frozen=True, slots=True)
class Budget:
    """`path` names a figure below `suites`, which has to stand in `relation` to `limit`.

    `exact`: the figure is the same on every machine, so that a missed budget is a defect of the build and the
    run fails.
    """

    path: str
    relation: Literal[">=", "<=", "<", "=="]
    limit: float
    unit: str
    title: str
    exact: bool = False

    def holds(self, value: Any) -> bool | None:
        """None when the figure is not known."""
        if not isinstance(value, int | float):
            return None
        return {
            ">=": value >= self.limit,
            "<=": value <= self.limit,
            "<": value < self.limit,
            "==": value == self.limit,
        }[self.relation]


BUDGETS: Final[Sequence[Budget]] = (
    Budget("engine.mixed.commands_per_second", ">=", 4_000_000, "/s", "engine, mixed flow"),
    Budget("engine.place.instructions", "<=", 1_500, "instructions", "place a resting order"),
    Budget("engine.cancel.instructions", "<=", 1_500, "instructions", "cancel"),
    Budget("engine.replace.instructions", "<=", 1_500, "instructions", "replace"),
    Budget("engine.trade.instructions", "<=", 3_000, "instructions", "trade"),
    Budget("engine.worst_instructions", "<=", 20_000, "instructions", "any single command (hard ceiling)"),
    Budget("engine.deep.ratio", "<=", 4, "x", "1 M resting orders, cost against 5,000"),
    Budget("leverage.take.instructions", "<=", 3_000, "instructions", "order with margin check and fill"),
    Budget("leverage.batch.instructions", "<=", 180_000, "instructions", "atomic batch of eight orders"),
    Budget("pools.lmsr_8.instructions", "<=", 5_000, "instructions", "swap, LMSR of 8 outcomes"),
    Budget("pools.lmsr_64.instructions", "<=", 15_000, "instructions", "swap, LMSR of 64 outcomes"),
    Budget("pools.pm.instructions", "<=", 10_000, "instructions", "swap, pm-AMM"),
    Budget("pools.pm_dynamic.instructions", "<=", 10_000, "instructions", "swap, dynamic pm-AMM"),
    Budget("pools.lmsr_64.worst", "<=", 20_000, "instructions", "any swap, LMSR of 64 (ceiling)"),
    Budget("pools.distribution.instructions", "<=", 20_000, "instructions", "distribution, 100 segments"),
    Budget("leverage.price.p50_us", "<=", 2_000, "us", "a price over 10,000 positions"),
    Budget("leverage.coverage.p50_us", "<=", 50, "us", "a change of coverage among 21,000 markets"),
    Budget("leverage.crash.steps_per_second", ">=", 200_000, "/s", "liquidation steps in a crash"),
    Budget("stack.max_frame_bytes", "<", 4_096, "bytes", "largest engine stack frame", exact=True),
    Budget("journal.batch_4096.records_per_second", ">=", 5_000_000, "/s", "journal, 4,096 records a block"),
    Budget("journal.batch_1.p50_us", "<=", 250, "us", "journal, one record per block"),
    Budget("node.durable_commands_per_second", ">=", 1_000_000, "/s", "node, durable, batched from Python"),
    Budget("node.ack_p99_us", "<=", 1_000, "us", "node, single durable acknowledgement, p99"),
    Budget("node.paced_p99_us", "<=", 5_000, "us", "node, execution at 1,000 commands/s, p99"),
    Budget("trader.handed_p50_us", "<=", 200, "us", "callback to order record handed over, median"),
    Budget("trader.order_record_p99_us", "<=", 5_000, "us", "callback to durable order record, p99"),
    Budget("gateway.websocket.orders_per_second", ">=", 1_000, "/s", "gateway, durable orders by WebSocket"),
    Budget("replay.commands_per_second", ">=", 3_000_000, "/s", "replay from the journal"),
    Budget("replay.state_hash_equal", "==", 1, "", "replay gives the same state hash", exact=True),
    Budget("ingestion.diff_21000_p50_ms", "<=", 100, "ms", "a new price of 21,000 linked markets"),
    Budget("nonce.one_thread.per_second", ">=", 5_000, "/s", "nonces of one venue key, persisted"),
    Budget("nonce.one_thread.ahead_s", "<=", 10, "s", "nonces ahead of the clock"),
    Budget("nonce.one_thread.not_increasing", "==", 0, "", "nonces that repeat or go back", exact=True),
    Budget("nonce.four_threads.not_increasing", "==", 0, "", "the same from four threads", exact=True),
    Budget("risk.p99_us", "<=", 100, "us", "pre-trade check with 20 working orders, p99"),
    Budget("decode.kraken.messages_per_second", ">=", 100_000, "/s", "book updates of Kraken, applied"),
    Budget("decode.binance.messages_per_second", ">=", 100_000, "/s", "book updates of Binance, applied"),
    Budget("decode.binance.stream.messages_per_second", ">=", 100_000, "/s", "a whole stream of Binance"),
    Budget("decode.kraken.queue_delay_p99_us", "<=", 5_000, "us", "Kraken's wait at half the rate, p99"),
    Budget("decode.binance.queue_delay_p99_us", "<=", 5_000, "us", "Binance's wait at half the rate, p99"),
    Budget("backtest.timer.rows_per_second", ">=", 1_000_000, "/s", "back-test, strategy on its own timer"),
    Budget("backtest.every.rows_per_second", ">=", 200_000, "/s", "back-test, strategy on every event"),
    Budget("backtest.timer.runs_equal", "==", 1, "", "back-tests end in the same state hash", exact=True),
    Budget("tick-to-order.p50_us", "<=", 1_500, "us", "tick to order bytes, p50"),
    Budget("tick-to-order.p99_us", "<=", 5_000, "us", "tick to order bytes, p99"),
    Budget("tick-to-order.p999_us", "<=", 20_000, "us", "tick to order bytes, p99.9"),
    Budget("memory.idle_21000_markets_mb", "<=", 100, "MB", "21,000 idle markets"),
    Budget("memory.outcome_21000_markets_mb", "<=", 300, "MB", "21,000 outcome markets with books and pools"),
    Budget("memory.import_s", "<=", 0.3, "s", "import of engine, commands and events"),
    Budget("memory.up_start_s", "<=", 1, "s", "start of tradewind up"),
    Budget("memory.up_rss_mb", "<", 200, "MB", "memory of tradewind up"),
)


def figure(suites: Mapping[str, Any], path: str) -> Any:
    """The figure at a dotted path, None when it is not there."""
    found: Any = suites
    for name in path.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return None
        found = found[name]
    return found


def why_absent(suites: Mapping[str, Any], path: str) -> str:
    """The reason that a suite or group gave for not measuring the figure at `path`."""
    found: Any = suites
    for name in path.split("."):
        if not isinstance(found, Mapping):
            break
        for key in ("skipped", "failed"):
            if key in found:
                return f"{key}: {found[key]}"
        found = found.get(name)
    return "not run"


def judge(suites: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per budget of the suites that were run, in the order of `BUDGETS`."""
    rows = []
    for budget in BUDGETS:
        if budget.path.partition(".")[0] not in suites:
            continue
        value = figure(suites, budget.path)
        row: dict[str, Any] = {
            "path": f"suites.{budget.path}",
            "title": budget.title,
            "value": value,
            "relation": budget.relation,
            "budget": budget.limit,
            "unit": budget.unit,
            "holds": budget.holds(value),
            "exact": budget.exact,
        }
        if row["holds"] is None:
            row["reason"] = why_absent(suites, budget.path)
        rows.append(row)
    return rows


def defects(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Titles of the exact budgets that were missed; what is unknown was not."""
    return [row["title"] for row in rows if row["exact"] and row["holds"] is False]
