"""Unmodified clients of the venue trade on the Binance gateway: ccxt, ccxt.pro, python-binance, freqtrade."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

sys.path.insert(0, str(Path(__file__).parents[2] / "gateways"))
sys.path.insert(0, str(Path(__file__).parents[2] / "gateways" / "binance"))

from binance_world import World, world

from tradewind.gateways.binance.streams import StreamOptions

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
FREQTRADE = "TRADEWIND_FREQTRADE_PYTHON"
CLOSED_TRADES = 2
FREQTRADE_LIMIT_S = 330


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[World]:
    """A gateway with the venue's own limits and intervals, and something in its book."""
    async with world(tmp_path / "data", gateway={"options": StreamOptions()}) as one:
        await one.still_book()
        yield one


def addresses(venue: World) -> dict[str, str]:
    edwards = venue.edwards("demo")
    return {
        "URL": venue.gateway.url,
        "SOCKET_URL": venue.gateway.socket_url,
        "KEY": venue.demo.key.key,
        "SECRET": venue.demo.secret,
        "OTHER_KEY": venue.other.key.key,
        "OTHER_SECRET": venue.other.secret,
        "EDWARDS_KEY": edwards.key.key,
        "EDWARDS_PEM": edwards.signer.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ).decode(),
    }


@pytest.mark.parametrize(
    "script", ["binance_ccxt.py", "binance_ccxt_pro.py", "binance_python_binance.py", "binance_sdk.py"]
)
async def test_a_client_trades(venue: World, run_client, script: str) -> None:
    assert (await run_client(script, **addresses(venue))).rstrip().endswith("done")
    assert venue.gateway.unknown_calls == {}
    assert [status for _, status in venue.gateway.requests if status >= 500] == []


@pytest.fixture(scope="session")
def freqtrade_python() -> str:
    """The interpreter that has freqtrade: the environment variable, else `.venv-freqtrade`."""
    named = os.environ.get(FREQTRADE)
    found = Path(named) if named else ROOT / ".venv-freqtrade" / "bin" / "python"
    if not found.is_file():
        pytest.skip(f"no environment with freqtrade: {found} (`make test-tools`, or set {FREQTRADE})")
    return str(found)


async def keep_trading(venue: World) -> None:
    """A trade each half second, for candles; one account only buys there, the other only sells."""
    third = venue.client("third")
    while True:
        await venue.other.order("BUY", "60000", "0.001")
        await third.order("SELL", "60000", "0.001")
        await asyncio.sleep(0.5)


@pytest.mark.slow
async def test_freqtrade_trades_with_money_until_it_is_stopped(
    venue: World, freqtrade_python: str, tmp_path: Path
) -> None:
    bot = venue.client("demo")
    folder = tmp_path / "bot"
    folder.mkdir()
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = (
        kept
        | addresses(venue)
        | {
            "KEY": bot.key.key,
            "SECRET": bot.secret,
            "FOLDER": str(folder),
            "WANTED": str(CLOSED_TRADES),
            "LIMIT_S": str(FREQTRADE_LIMIT_S - 120),
        }
    )
    market = asyncio.create_task(keep_trading(venue))
    try:
        process = await asyncio.create_subprocess_exec(
            freqtrade_python,
            "-I",
            str(HERE / "binance_freqtrade.py"),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(process.communicate(), FREQTRADE_LIMIT_S)
    finally:
        market.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await market
    assert process.returncode == 0, output.decode(errors="replace")
    told = json.loads(output.splitlines()[0])
    assert told["problems"] == [], told
    closed = [trade for trade in told["trades"] if not trade[1]]
    assert len(closed) >= CLOSED_TRADES
    # what the bot believes is what the exchange did
    for order_id, status, side, filled, average in told["orders"]:
        order = venue.exchange.order("demo", order_id=int(order_id))
        assert order is not None and order.side.name.lower() == side
        if status == "closed":
            symbol = venue.gateway.state.symbols.find("BTCUSDT")
            assert float(symbol.quantity(order.filled_lots)) == filled
            assert float(order.cost) / filled == pytest.approx(average)
