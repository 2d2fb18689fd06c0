"""T2.10: what our filters let through, the venue's filters let through too, and the other way round."""

from __future__ import annotations

import os
import random
from collections import Counter

from tradewind.gateways.model import PlaceRequest, Refusal
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import NewOrder

from .binance_bench import BinanceBench

ORDERS = int(os.environ.get("TRADEWIND_FILTER_ORDERS", "20000"))
FILTERS = {
    Refusal.OFF_TICK: {"OffTick"}, Refusal.OFF_LOT: {"OffLot"}, Refusal.BAD_QUANTITY: {"BadNumber"},
    Refusal.BELOW_MIN_QUANTITY: {"BelowMinQty", "BadNumber"}, Refusal.ABOVE_MAX_QUANTITY: {"AboveMaxQty"},
    Refusal.BELOW_MIN_NOTIONAL: {"BelowMinNotional"}, Refusal.ABOVE_MAX_NOTIONAL: {"AboveMaxNotional"},
    Refusal.BAD_PRICE: {"BadNumber", "OutsideBand"},
}  # fmt: skip
UNTOLD = {Refusal.OUTSIDE_BAND, Refusal.POSITION_LIMIT, Refusal.TOO_MANY_ORDERS}
"""Rules that look at more than the order: the venue's to judge."""


async def test_both_sides_judge_random_orders_alike() -> None:
    bench = await BinanceBench.open()
    try:
        rolls, seen = random.Random(1), Counter[str]()
        directory = bench.connector.mirror.directory
        symbols = sorted(set(bench.exchange.markets) & set(directory.instruments))
        assert len(symbols) >= 5
        for number in range(ORDERS):
            symbol = rolls.choice(symbols)
            rules = directory.instruments[symbol]
            least = int((rules.min_quantity or rules.lot) / rules.lot)
            most = int((rules.max_quantity or rules.lot * 10**6) / rules.lot)
            lots = rolls.choice(
                (least - 1, least, least + 1, rolls.randrange(0, 400 * least), most, most + 1)
            )
            unit = rules.tick * rules.lot * max(1, lots)
            low, high = int((rules.min_notional or 0) / unit), int((rules.max_notional or 0) / unit)
            price = rolls.choice((low - 1, low, low + 1, high, high + 1, rolls.randrange(0, 10**7), 0))
            order = NewOrder(
                client_id=f"tw{number:016d}", symbol=symbol, side=rolls.choice(list(Side)), price_ticks=price,
                lots=lots,
            )  # fmt: skip
            ours = bench.connector._check(order, rules)
            request = PlaceRequest(symbol=symbol, side=order.side, price_ticks=price, lots=lots)
            theirs = bench.exchange.check(bench.account, request)
            if theirs is None or theirs.refusal not in {*UNTOLD, *FILTERS}:
                assert ours is None, (order, ours, theirs)
            elif theirs.refusal in FILTERS:
                assert ours is not None, (order, theirs)
            seen["refused" if ours is not None else "passed"] += 1
            seen[ours.code if ours is not None else "none"] += 1
        assert min(seen["refused"], seen["passed"]) > ORDERS // 20, seen
    finally:
        await bench.close()
