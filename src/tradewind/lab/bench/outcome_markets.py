"""Memory of outcome markets with open books and pools, in the process that asks: run it in a fresh one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from tradewind.core import commands
from tradewind.core.engine import Engine, GenesisConfig, Grant
from tradewind.core.enums import MarketKind, Role, Side
from tradewind.core.native import derive_account_id

START_NS: Final = 1_700_000_000_000_000_000
DAY_NS: Final = 86_400 * 10**9
STEP_NS: Final = 61 * 10**9
"""Between batches: client keys of the batch before are forgotten."""
BATCH: Final = 500
SYSTEM, OPERATOR = bytes([1] * 32), bytes([2] * 32)
USDC: Final = 0
FUNDING: Final = 50_000_000
SPENT: Final = 1_000_000
"""Micro-quote in each pool, and of the swap that it has seen."""


def measure(markets: int) -> tuple[int, int, int]:
    """(markets made, resident bytes before, after): binary markets with an order for each outcome
    and a dynamic pm-AMM that has made a swap.

    Raises:
        AssertionError: the engine refused one of the commands.
    """
    until_ns = START_NS + 360 * DAY_NS
    grants = [Grant(SYSTEM, Role.SYSTEM, until_ns), Grant(OPERATOR, Role.OPERATOR, until_ns)]
    engine = Engine(GenesisConfig(START_NS, grants), audit=False)
    accounts = {owner: derive_account_id(owner) for owner in (SYSTEM, OPERATOR)}
    keys = iter(range(1, 1 << 62))

    def key() -> bytes:
        return next(keys).to_bytes(16, "little")

    def apply(records: list[bytes], now_ns: int) -> None:
        refused = [result for result in engine.submit(records, now_ns) if not result.accepted]
        assert not refused, refused[0]

    first = [commands.register_asset(principal=OPERATOR, client_key=key(), symbol="USDC")]
    first += [commands.open_account(principal=one, client_key=key(), owner_key=one) for one in accounts]
    first += [
        commands.deposit(
            principal=SYSTEM,
            account=account,
            asset=USDC,
            amount=10**15,
            external_id=bytes([7] * 31) + owner[:1],
        )
        for owner, account in accounts.items()
    ]
    apply(first, START_NS)
    before = resident_bytes()
    for batch, start in enumerate(range(0, markets, BATCH), start=1):
        handles = range(start, min(start + BATCH, markets))
        now_ns = START_NS + batch * STEP_NS
        apply([_market(accounts[OPERATOR], key(), nonce) for nonce in handles], now_ns)
        apply([_bid(accounts[SYSTEM], one, outcome) for one in handles for outcome in (0, 1)], now_ns)
        apply([_pool(accounts[OPERATOR], key(), one) for one in handles], now_ns)
        apply([_swap(accounts[SYSTEM], key(), one) for one in handles], now_ns)
    return markets, before, resident_bytes()


def _market(account: bytes, client_key: bytes, nonce: int) -> bytes:
    return commands.create_market(
        principal=OPERATOR, account=account, client_key=client_key, nonce=nonce, base=USDC, quote=USDC,
        tick_size=1_000, lot_size=1_000, market_kind=MarketKind.OUTCOME, outcome_count=2,
        settle_time_ns=START_NS + 90 * DAY_NS, taker_fee_e6bp=28_000_000,
    )  # fmt: skip


def _bid(account: bytes, market: int, outcome: int) -> bytes:
    return commands.place_order(
        principal=SYSTEM, account=account, client_key=bytes(16), market=market, outcome=outcome,
        side=Side.BUY, price=400, lots=10_000,
    )  # fmt: skip


def _pool(account: bytes, client_key: bytes, market: int) -> bytes:
    return commands.build(
        "CreatePool", principal=OPERATOR, account=account, client_key=client_key, market=market,
        funding=FUNDING,
    )  # fmt: skip


def _swap(account: bytes, client_key: bytes, market: int) -> bytes:
    return commands.build(
        "SwapAmm", principal=SYSTEM, account=account, client_key=client_key, market=market, side=Side.BUY,
        amount=SPENT, limit=1,
    )  # fmt: skip


def resident_bytes() -> int:
    """Memory of this process that is in use now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
