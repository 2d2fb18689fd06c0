"""Unmodified clients of the venue trade perpetual markets on the USD-M gateway."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "gateways"))
sys.path.insert(0, str(Path(__file__).parents[2] / "gateways" / "binance"))

from usdm_world import usdm_world

from tradewind.gateways.binance.streams import StreamOptions


@pytest.mark.parametrize("script", ["binanceusdm_ccxt.py", "binanceusdm_ccxt_pro.py"])
async def test_ccxt_trades_perpetual_markets(tmp_path: Path, run_client, script: str) -> None:
    async with usdm_world(tmp_path / "data", gateway={"options": StreamOptions()}) as venue:
        output = await run_client(
            script,
            URL=venue.gateway.url,
            SOCKET_URL=venue.gateway.socket_url,
            KEY=venue.demo.key.key,
            SECRET=venue.demo.secret,
            OTHER_KEY=venue.other.key.key,
            OTHER_SECRET=venue.other.secret,
        )
        assert output.rstrip().endswith("done")
        assert venue.gateway.unknown_calls == {}
        assert [status for _, status in venue.gateway.requests if status >= 500] == []
