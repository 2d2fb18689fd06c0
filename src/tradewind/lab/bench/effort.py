"""How much is measured. Every number of commands, rounds and seconds of the benchmark is here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


def _journal_rounds() -> Mapping[int, int]:
    return {1: 3_000, 16: 3_000, 256: 1_500, 4_096: 1_000}


@dataclass(frozen=True, slots=True)
class Effort:
    """Bounds of one run. The defaults are a full run: below three minutes on two cores, without builds."""

    repeats: int = 3
    """Throughputs are the median of so many measurements."""
    live_orders: int = 5_000
    deep_live_orders: int = 1_000_000
    engine_commands: int = 1_000_000
    deep_commands: int = 300_000
    latency_commands: int = 500_000
    counted_commands: int = 20_480
    """Commands per flow of which the instructions are averaged."""
    single_counted_commands: int = 300
    """Commands per flow of which the instructions are counted one by one."""
    journal_rounds: Mapping[int, int] = field(default_factory=_journal_rounds)
    """Blocks by records per block."""
    node_batches: int = 256
    node_acknowledgements: int = 2_000
    node_paced: int = 10_000
    trader_orders: int = 500
    """Orders from a callback's answer to the journal."""
    gateway_orders: int = 150
    """Orders of each of the clients of a gateway; a venue allows an account so many at once."""
    python_batches: int = 128
    python_singles: int = 10_000
    replay_batches: int = 96
    idle_markets: int = 21_000
    nonce_seconds: float = 10.0
    risk_checks: int = 20_000
    import_runs: int = 5
    up_seconds: int = 10
    peer_commands: int = 100_000
    decode_messages: int = 20_000
    """Generated book updates, where no recording is there."""
    backtest_messages: int = 1_000_000
    """Messages of a recording that are replayed at most."""
    tick_orders: int = 1_500
    """Orders from tick to bytes, fifty a second."""
    peer_limit_s: float = 4.0
    """A slow peer is stopped after so long; what it did until then counts."""
    build_stack_sizes: bool = True
    child_limit_s: float = 600.0
    """A child process that runs longer is ended, and its figure is a failure."""


FULL = Effort()
QUICK = Effort(
    repeats=1,
    live_orders=200,
    deep_live_orders=2_000,
    engine_commands=8_192,
    deep_commands=4_096,
    latency_commands=4_096,
    counted_commands=512,
    single_counted_commands=4,
    journal_rounds={1: 8, 16: 8, 256: 4, 4_096: 2},
    node_batches=4,
    node_acknowledgements=20,
    node_paced=40,
    trader_orders=60,
    gateway_orders=4,
    python_batches=4,
    python_singles=40,
    replay_batches=4,
    idle_markets=100,
    nonce_seconds=0.2,
    risk_checks=50,
    import_runs=1,
    up_seconds=2,
    peer_commands=2_000,
    decode_messages=200,
    backtest_messages=1_500,
    tick_orders=20,
    peer_limit_s=1.0,
    build_stack_sizes=False,
    child_limit_s=60.0,
)
"""Every key, hardly any time: for trying the commands out. Its figures mean nothing."""
