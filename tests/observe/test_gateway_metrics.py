"""Metrics of a local venue are those of their catalogue, and follow what happens."""

from __future__ import annotations

import sys
from pathlib import Path

import aiohttp

from tradewind.gateways.server import Gateway
from tradewind.observe.gateways import GatewayCollector, catalogue, render

sys.path.insert(0, str(Path(__file__).parents[1] / "gateways"))

from gateway_world import PRICE, opened, placed, request

from tradewind.venues.market_data import Side


async def test_every_metric_of_the_catalogue_is_exported_and_no_other(tmp_path: Path) -> None:
    async with opened(tmp_path) as exchange, Gateway(exchange) as gateway:
        families = {one.name: one for one in GatewayCollector(gateway).collect()}
        names = {f"{name}_total" if one.type == "counter" else name for name, one in families.items()}
        assert names == set(catalogue())
        for name, entry in catalogue().items():
            assert families[name.removesuffix("_total")].type == entry["type"]


async def test_values_follow_calls_and_orders(tmp_path: Path) -> None:
    async with opened(tmp_path) as exchange, Gateway(exchange) as gateway:
        await placed(exchange, "demo", request(Side.BUY, PRICE))
        async with aiohttp.ClientSession() as session, session.get(gateway.url + "/nothing") as answer:
            assert answer.status == 404
        text = render(GatewayCollector(gateway)).decode()
        assert 'tradewind_gateway_unknown_calls_total{venue="gateway"} 1.0' in text
        assert 'tradewind_gateway_working_orders{account="demo",venue="gateway"} 1.0' in text
        assert 'tradewind_gateway_healthy{venue="gateway"} 1.0' in text
