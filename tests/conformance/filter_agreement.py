"""T2.10: random orders, judged by a connector's own filters and by the exchange behind the gateway."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

from tradewind.gateways.exchange import Exchange
from tradewind.gateways.exchange_checks import MAX_TICKS
from tradewind.gateways.model import PlaceRequest, Refusal
from tradewind.venues.binance.common import BinanceConnector
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import NewOrder

FILTERS = {
    Refusal.OFF_TICK: {"OffTick"}, Refusal.OFF_LOT: {"OffLot"}, Refusal.BAD_QUANTITY: {"BadNumber"},
    Refusal.BELOW_MIN_QUANTITY: {"BelowMinQty", "BadNumber"}, Refusal.ABOVE_MAX_QUANTITY: {"AboveMaxQty"},
    Refusal.BELOW_MIN_NOTIONAL: {"BelowMinNotional"}, Refusal.ABOVE_MAX_NOTIONAL: {"AboveMaxNotional"},
    Refusal.BAD_PRICE: {"BadNumber", "OutsideBand"},
}  # fmt: skip
UNTOLD = {Refusal.OUTSIDE_BAND, Refusal.POSITION_LIMIT, Refusal.TOO_MANY_ORDERS}
"""Rules that look at more than the order: the venue's to judge."""


def judge_alike(
    connector: BinanceConnector,
    exchange: Exchange,
    account: str,
    named: Callable[[str], str],
    orders: int,
    least_symbols: int,
    untold: frozenset[Refusal] = frozenset(),
) -> None:
    """Fails when the two judge any of `orders` random orders otherwise. `named` gives the exchange's name of
    a symbol, `untold` more rules that the venue does not publish as filters.
    """
    rolls, seen = random.Random(1), Counter[str]()
    directory = connector.mirror.directory
    symbols = sorted(one for one in directory.instruments if named(one) in exchange.markets)
    assert len(symbols) >= least_symbols
    for number in range(orders):
        symbol = rolls.choice(symbols)
        rules = directory.instruments[symbol]
        highest = directory.rules[symbol].max_price
        top = MAX_TICKS if highest is None else int(highest / rules.tick)
        least = int((rules.min_quantity or rules.lot) / rules.lot)
        most = int((rules.max_quantity or rules.lot * 10**6) / rules.lot)
        lots = rolls.choice((least - 1, least, least + 1, rolls.randrange(0, 400 * least), most, most + 1))
        unit = rules.tick * rules.lot * max(1, lots)
        low, high = int((rules.min_notional or 0) / unit), int((rules.max_notional or 0) / unit)
        price = rolls.choice(
            (low - 1, low, low + 1, high, high + 1, rolls.randrange(0, 10**7), 0, top, top + 1)
        )
        order = NewOrder(
            client_id=f"tw{number:016d}", symbol=symbol, side=rolls.choice(list(Side)), price_ticks=price,
            lots=lots,
        )  # fmt: skip
        ours = connector._check(order, rules)
        request = PlaceRequest(symbol=named(symbol), side=order.side, price_ticks=price, lots=lots)
        theirs = exchange.check(account, request)
        if theirs is None or theirs.refusal not in {*UNTOLD, *FILTERS}:
            assert ours is None, (order, ours, theirs)
        elif theirs.refusal in FILTERS and theirs.refusal not in untold:
            assert ours is not None, (order, theirs)
        seen["refused" if ours is not None else "passed"] += 1
    assert min(seen["refused"], seen["passed"]) > orders // 20, seen
