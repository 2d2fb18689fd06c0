"""The public tape of the Kraken gateway, as raw messages: who took, and with what kind of order."""

from __future__ import annotations

from kraken_world import World


async def test_trades_name_the_kind_of_the_takers_order(world: World) -> None:
    async with world.demo.socket() as wire:
        await wire.request("subscribe", channel="trade", symbol=["BTC/USD"])
        await wire.of("trade", "snapshot")
        await world.demo.order("buy", "60000.0", "0.00300")
        await world.other.order("sell", "60000.0", "0.00100")
        sale = {"pair": "XBTUSD", "type": "sell", "ordertype": "market", "volume": "0.00100"}
        await world.other.private("AddOrder", sale)
        seen: list[tuple[str, str]] = []
        while len(seen) < 2:
            rows = (await wire.of("trade", "update"))["data"]
            seen += [(row["side"], row["ord_type"]) for row in rows]
    assert seen == [("sell", "limit"), ("sell", "market")]
    rows = (await world.demo.public("Trades", pair="XBTUSD"))["XXBTZUSD"]
    assert [row[3:6] for row in rows] == [["s", "l", ""], ["s", "m", ""]]
