"""What the start says of the demonstration market."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tradewind.cli import banner
from tradewind.core.enums import MarketStatus


def platform(*markets: tuple[str, MarketStatus], error: str | None = None) -> Any:
    listed = [SimpleNamespace(symbol=name, market=SimpleNamespace(status=status)) for name, status in markets]
    return SimpleNamespace(
        configuration=SimpleNamespace(symbol="ETH/USDT"),
        demo_error=error,
        directory=SimpleNamespace(markets=lambda: listed),
    )


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (MarketStatus.CREATED, "ETH-PERP and its keeper are made; active about two minutes from now"),
        (MarketStatus.ACTIVE, "ETH-PERP was made by an earlier start; it is active"),
        (MarketStatus.PAUSED, "ETH-PERP was made by an earlier start; it is paused"),
        (MarketStatus.CLOSE_ONLY, "ETH-PERP was made by an earlier start; it is close only"),
    ],
)
def test_the_demonstration_market_is_announced_in_the_state_that_it_has(
    status: MarketStatus, said: str
) -> None:
    other = ("ETH/USDT", MarketStatus.ACTIVE)
    assert banner.demo(platform(other, ("ETH-PERP", status))) == said


def test_what_could_not_be_made_is_said_and_no_market_is_promised() -> None:
    error = "CAPACITY_EXCEEDED: BTC is in the text of the failure"
    assert banner.demo(platform(error=error)) == error
    assert banner.demo(platform(("ETH/USDT", MarketStatus.ACTIVE))) == "there is no market ETH-PERP"
