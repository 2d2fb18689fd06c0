"""Tiers of the elastic fee over HTTP on a real engine: volume of a day, the tier from midnight on."""

from __future__ import annotations

from pathlib import Path

from .conftest import ApiWorld, Clock, api_world
from .test_vault import let_pass


async def open_market(api: ApiWorld) -> None:
    """A spot market with the elastic fee, alice with money and bob with coins."""
    await api.done("/assets", {"symbol": "USDC", "settlement": True})
    await api.done("/assets", {"symbol": "COIN"})
    for name, asset in (("alice", "USDC"), ("bob", "COIN")):
        await api.done("/accounts", {"name": name})
        body = {"account": name, "asset": asset, "amount": "200000", "external_id": name}
        await api.done("/deposits", body)
    market = {"kind": "spot", "base": "COIN", "quote": "USDC", "tick_size": "0.01", "lot_size": "0.01",
              "taker_fee_bps": "28", "maker_fee_bps": "0", "elastic_fee": True}  # fmt: skip
    await api.done("/markets", market)


async def trade(api: ApiWorld, size: str) -> None:
    for account, side in (("bob", "sell"), ("alice", "buy")):
        body = {"account": account, "market": "COIN-USDC", "side": side, "price": "1", "quantity": size}
        await api.done("/orders", body)


async def test_the_volume_of_a_day_counts_for_both_owners_from_its_midnight(tmp_path: Path) -> None:
    clock = Clock()
    async with api_world(tmp_path, clock) as api:
        await open_market(api)
        await trade(api, "100000")
        today = (await api.get("/fee?account=alice")).json()
        assert (today["volume_30d"], today["volume_today"], today["discount_bp"]) == ("0", "100000", 0)
        assert (today["rate_bp"], today["next_tier"]["missing"]) == ("28", "100000")
        await let_pass(api, clock, 25)
        for name in ("alice", "bob"):
            shown = (await api.get(f"/fee?account={name}")).json()
            assert (shown["volume_30d"], shown["volume_today"]) == ("100000", "0")
            assert (shown["volume_discount_bp"], shown["stake_discount_bp"], shown["rate_bp"]) == (5, 0, "23")
            assert shown["next_tier"] == {"volume": "1000000", "missing": "900000", "discount_bp": 10}
        assert "volume_30d" not in (await api.get("/fee")).json()
        assert (await api.get("/fee?account=nobody")).status_code == 404
        shown = (await api.get("/fee")).json()["buyback"]
        assert shown == {"waiting": "0", "spent": "0", "burnt": "0"}
