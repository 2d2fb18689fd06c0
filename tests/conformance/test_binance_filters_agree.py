"""T2.10: what our filters let through, the venue's filters let through too, and the other way round."""

from __future__ import annotations

import os

import pytest

from tradewind.gateways.model import Refusal

from .binance_bench import BinanceBench
from .filter_agreement import judge_alike
from .usdm_bench import UsdmBench

ORDERS = int(os.environ.get("TRADEWIND_FILTER_ORDERS", "20000"))


@pytest.mark.parametrize("kind", [BinanceBench, UsdmBench])
async def test_both_sides_judge_random_orders_alike(kind: type[BinanceBench | UsdmBench]) -> None:
    bench = await kind.open()
    try:
        judge_alike(
            bench.connector,
            bench.exchange,
            bench.account,
            lambda symbol: symbol.replace("/USDT-PERP", "/USDT:USDT"),
            ORDERS,
            least_symbols=2 if kind is UsdmBench else 5,
            # perpetuals have no such filter: brackets of leverage bound positions
            untold=frozenset({Refusal.ABOVE_MAX_NOTIONAL} if kind is UsdmBench else ()),
        )
    finally:
        await bench.close()
