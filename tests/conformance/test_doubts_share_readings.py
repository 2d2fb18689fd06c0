"""What many doubts at once ask of a venue is bounded by what one asks: points are few exactly then (T7.6)."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tradewind.gateways.faults import Fault as WireFault
from tradewind.gateways.faults import Plan, Rule
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import Uncertain
from tradewind.venues.transport.resolver import Abandon, Doubt, ResolverRunner
from tradewind.venues.transport.signer import Nonce, SignedRequest, SignerLane

from .bench import Bench

MANY = 8
LISTS = {
    "kraken": {"/0/private/OpenOrders", "/0/private/ClosedOrders", "/0/private/TradesHistory"},
    "binance": {"/api/v3/openOrders", "/api/v3/myTrades"},
    "polymarket": {"/data/orders", "/data/trades"},
}
ONE_BY_ONE = {"kraken": 0, "binance": 8, "polymarket": 8}
"""Questions about a single order that a doubt may ask at most: cheap where there are any at all."""
BETWEEN = {"kraken": 0, "binance": 2, "polymarket": 2}
SLACK = 3
"""Readings more than one doubt needs: a faultless repetition, never one for each doubt."""


LOSE = (
    Rule(action=WireFault.RESET, when="before", name="POST */order"),
    Rule(action=WireFault.RESET, when="before", name="POST /order"),
    Rule(action=WireFault.STATUS, when="before", status=502, name="add_order"),
)


def watched(lane: SignerLane) -> Counter[str]:
    """Counts what leaves the lane, by path."""
    seen: Counter[str] = Counter()
    call = lane.call

    async def counting(build: Callable[[Nonce], SignedRequest], **how: Any) -> Any:
        def built(nonce: Nonce) -> SignedRequest:
            request = build(nonce)
            seen[request.target.partition("?")[0]] += 1
            return request

        return await call(built, **how)

    lane.call = counting  # type: ignore[method-assign, assignment]
    return seen


async def never_there(bench: Bench, count: int) -> list[str]:
    """Orders that the venue never got, and whose senders do not know that. Between them others get through,
    else the class of calls would be left alone for a while.
    """
    faults = bench.exchange.faults  # type: ignore[attr-defined]
    ids = []
    for number in range(count):
        faults.replace(Plan(rules=LOSE))
        order = bench.order(Side.BUY, bench.middle_ticks - number)
        answer = await bench.run(bench.venue.submit(order, 1))
        assert isinstance(answer, Uncertain), answer
        ids.append(order.client_id)
        await bench.heal()
        for _ in range(BETWEEN[bench.venue.capabilities().name]):
            await bench.place(Side.BUY, bench.middle_ticks - number)
    return ids


async def asked_for(bench: Bench, count: int) -> Counter[str]:
    """Resolves so many doubts at once; what was asked for it."""
    ids = await never_there(bench, count)

    async def query(doubt: Doubt) -> Any:
        return await bench.venue.query(bench.reference(doubt.client_id))

    async def lists(doubt: Doubt, since_ns: int) -> Any:
        since = max(0, time.time_ns() - (time.monotonic_ns() - since_ns))
        return await bench.venue.open_orders(doubt.symbol), await bench.venue.fills(since)

    seen = watched(bench.venue.rest.lane)  # type: ignore[attr-defined]
    runner, now_ns = ResolverRunner(query, lists), time.monotonic_ns()
    answers = await asyncio.gather(
        *(
            runner.resolve(
                Doubt(
                    client_id=one, symbol=bench.symbol, sent_at_ns=now_ns, created_ns=now_ns,
                    horizon_ns=bench.horizon_ns,
                )
            )
            for one in ids
        )
    )  # fmt: skip
    assert answers == [Abandon(one, "NeverAtVenue") for one in ids]
    assert not {one.client_id for one in await bench.true_orders()} & set(ids)
    return seen


async def test_the_readings_for_many_doubts_are_as_many_as_for_one(bench: Bench) -> None:
    name = bench.venue.capabilities().name
    if name not in LISTS:
        pytest.skip("no wire, no readings")
    one = await asked_for(bench, 1)
    many = await asked_for(bench, MANY)
    lists = LISTS[name]
    assert sum(many[path] for path in lists) <= sum(one[path] for path in lists) + SLACK, (one, many)
    rest = sum(number for path, number in many.items() if path not in lists)
    assert rest <= ONE_BY_ONE[name] * MANY + SLACK, (one, many)
