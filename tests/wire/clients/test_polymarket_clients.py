"""Unmodified third-party clients trade on the Polymarket gateway."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "gateways" / "polymarket"))

from polymarket_world import SECRETS, served

from tradewind.venues.polymarket import wallet


async def test_py_clob_client_trades(run_client: Callable[..., Awaitable[str]], tmp_path: Path) -> None:
    if not wallet.available():
        pytest.skip(f"the packages of {wallet.EXTRA} are not installed")
    async with served(tmp_path / "data") as world:
        names = {"ALICE": "0x" + SECRETS["alice"], "BOB": "0x" + SECRETS["bob"]}
        output = await run_client("polymarket_py_clob_client.py", URL=world.gateway.url, **names)
        assert output.strip().endswith("done")
        assert world.gateway.unknown_calls == {}
