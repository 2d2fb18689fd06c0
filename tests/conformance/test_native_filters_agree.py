"""T2.10: what our filters let through, the node lets through too, and the other way round."""

from __future__ import annotations

import os
import random
from collections import Counter
from decimal import Decimal

from tradewind.api import requests as req
from tradewind.api.problems import ApiFailure
from tradewind.venues.codes import RejectCode
from tradewind.venues.market_data import Side
from tradewind.venues.native.messages import Problem
from tradewind.venues.native.refusals import refusal_of
from tradewind.venues.protocol import NewOrder, Rejected

from .native_bench import NativeBench

ORDERS = int(os.environ.get("TRADEWIND_FILTER_ORDERS", "2000"))
UNTOLD = {RejectCode.OUTSIDE_BAND, RejectCode.INSUFFICIENT_FUNDS}
"""What no market record states: the band moves with the market, funds with the account."""


async def answer_of(bench: NativeBench, order: NewOrder) -> Rejected | None:
    """What the node itself says, behind the connector: the order is not to rest."""
    rules = bench.instrument
    request = req.PlaceOrder(
        account="maker",
        market=bench.symbol,
        side=order.side.name.lower(),  # type: ignore[arg-type]
        price=format(rules.tick * order.price_ticks, "f"),
        quantity=format(rules.lot * order.lots, "f"),
        time_in_force="ioc",
    )
    try:
        await bench.world.desk.place_order(request)
    except ApiFailure as failure:
        told = failure.problem
        return refusal_of(told.status, Problem(told.name, told.detail))
    return None


async def test_both_sides_judge_random_orders_alike() -> None:
    bench = await NativeBench.open()
    try:
        rolls, seen = random.Random(1), Counter[str]()
        rules = bench.venue.mirror.directory.by_symbol[bench.symbol]
        least = rules.instrument.min_notional or Decimal(0)
        most = rules.instrument.max_notional or Decimal(0)
        for number in range(ORDERS):
            lots = rolls.choice((0, 1, 2, rolls.randrange(1, 10**5), rolls.randrange(1, 10**7)))
            unit = rules.instrument.tick * rules.instrument.lot * max(1, lots)
            edges = [int(least / unit) + step for step in (-1, 0, 1, 2)]
            edges += [int(most / unit) + step for step in (-1, 0, 1)]
            price = rolls.choice((*edges, rolls.randrange(0, 10**7), bench.middle_ticks))
            order = NewOrder(
                client_id=f"tw{number:016d}",
                symbol=bench.symbol,
                side=rolls.choice(list(Side)),
                price_ticks=price,
                lots=lots,
            )
            ours, theirs = bench.venue._form(order, rules), await answer_of(bench, order)
            if theirs is None or theirs.code not in UNTOLD:
                assert (ours is None) == (theirs is None), (order, ours, theirs)
            if ours is not None and theirs is not None and theirs.code not in UNTOLD:
                assert ours.code == theirs.code, (order, ours, theirs)
            seen["passed" if ours is None else str(ours.code)] += 1
        wanted = {"passed", "BelowMinNotional", "AboveMaxNotional", "BadNumber"}
        assert all(seen[name] > ORDERS // 50 for name in wanted), seen
    finally:
        await bench.close()
