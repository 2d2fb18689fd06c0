"""Every venue that the suite runs against."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from .bench import Bench
from .binance_bench import BinanceBench
from .ccxt_bench import CcxtBinanceBench, CcxtKrakenBench
from .kraken_bench import KrakenBench
from .native_bench import NativeBench
from .paper_bench import PaperBench
from .polymarket_bench import PolymarketBench
from .usdm_bench import UsdmBench

BENCHES: dict[str, type[Bench]] = {
    "binance": BinanceBench,
    "binance-usdm": UsdmBench,
    "ccxt-binance": CcxtBinanceBench,
    "ccxt-kraken": CcxtKrakenBench,
    "kraken": KrakenBench,
    "native": NativeBench,
    "paper": PaperBench,
    "polymarket": PolymarketBench,
}


@pytest.fixture(params=sorted(BENCHES))
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """A venue with an empty outside market and funds in the quote asset."""
    one = await BENCHES[request.param].open()
    yield one
    await one.close()
