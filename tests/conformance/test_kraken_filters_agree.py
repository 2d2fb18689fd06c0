"""T2.10: what our filters let through, the gateway's filters let through too, and the other way round."""

from __future__ import annotations

import os
import random
from collections import Counter

from tradewind.gateways.model import PlaceRequest, Refusal
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import NewOrder

from .kraken_bench import KrakenBench

ORDERS = int(os.environ.get("TRADEWIND_FILTER_ORDERS", "20000"))
FILTERS = {
    Refusal.OFF_TICK, Refusal.OFF_LOT, Refusal.BELOW_MIN_QUANTITY, Refusal.BELOW_MIN_NOTIONAL,
    Refusal.BAD_PRICE, Refusal.BAD_QUANTITY,
}  # fmt: skip
UNTOLD = {Refusal.ABOVE_MAX_QUANTITY, Refusal.ABOVE_MAX_NOTIONAL, Refusal.OUTSIDE_BAND}
"""Rules that AssetPairs does not state, here as at the venue."""


async def test_both_sides_judge_random_orders_alike() -> None:
    bench = await KrakenBench.open()
    try:
        rolls, seen = random.Random(1), Counter[str]()
        symbols = sorted(set(bench.exchange.markets) & set(bench.venue.mirror.directory.instruments))
        assert len(symbols) >= 5
        for number in range(ORDERS):
            symbol = rolls.choice(symbols)
            rules = bench.venue.mirror.directory.instruments[symbol]
            least = int((rules.min_quantity or rules.lot) / rules.lot)
            lots = rolls.choice((least - 1, least, least + 1, rolls.randrange(0, 4 * least), 10**6))
            cost = int((rules.min_notional or 0) / (rules.tick * rules.lot * max(1, lots)))
            price = rolls.choice((cost - 1, cost, cost + 1, rolls.randrange(0, 10**7), 0))
            order = NewOrder(
                client_id=f"tw{number:016d}", symbol=symbol, side=rolls.choice(list(Side)), price_ticks=price,
                lots=lots,
            )  # fmt: skip
            ours = bench.venue._filter_refusal(rules, order)
            request = PlaceRequest(symbol=symbol, side=order.side, price_ticks=price, lots=lots)
            theirs = bench.exchange.check(bench.account, request)
            refused = theirs is not None and theirs.refusal in FILTERS
            if theirs is None or theirs.refusal not in UNTOLD:
                assert (ours is not None) == refused, (order, ours, theirs)
            seen["refused" if ours is not None else "passed"] += 1
        assert min(seen["refused"], seen["passed"]) > ORDERS // 20, seen
    finally:
        await bench.close()
