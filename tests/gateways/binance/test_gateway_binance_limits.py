"""Windows of the clock, order counts, bans, and numbers as text."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from binance_world import SYMBOL, world
from hypothesis import given
from hypothesis import strategies as some

from tradewind.gateways.binance.errors import BinanceError
from tradewind.gateways.binance.market import closing_ns, opening_ns
from tradewind.gateways.binance.parameters import Parameters, from_json, merge
from tradewind.gateways.binance.text import cut_text, decimal_text
from tradewind.gateways.binance.windows import IGNORED_BEFORE_BAN, SECOND_NS, Limit, Usage, Window

MINUTE = Limit(kind="REQUEST_WEIGHT", interval="MINUTE", interval_num=1, limit=100)
TEN = Limit(kind="ORDERS", interval="SECOND", interval_num=10, limit=5)
START_NS = 1_700_000_000 * SECOND_NS // MINUTE.span_ns * MINUTE.span_ns


@given(
    some.lists(some.tuples(some.integers(0, 200 * SECOND_NS), some.integers(1, 40)), min_size=1, max_size=60)
)
def test_a_window_counts_what_fell_between_two_full_minutes(requests: list[tuple[int, int]]) -> None:
    window, by_minute = Window(MINUTE), {}
    for offset_ns, cost in sorted(requests):
        minute = (START_NS + offset_ns) // MINUTE.span_ns
        by_minute[minute] = by_minute.get(minute, 0) + cost
        assert window.add("a", cost, START_NS + offset_ns) == by_minute[minute]


@given(back_ns=some.integers(1, 10**12))
def test_a_clock_that_goes_back_opens_no_second_budget(back_ns: int) -> None:
    window = Window(MINUTE)
    window.add("a", 90, START_NS)
    assert window.count("a", START_NS - back_ns) == 90


def test_beyond_the_weight_is_429_with_the_time_to_wait_and_beyond_that_a_ban_that_doubles() -> None:
    usage, now_ns = Usage((MINUTE,)), START_NS + 20 * SECOND_NS
    usage.request("a", 100, now_ns)
    for _ in range(IGNORED_BEFORE_BAN):
        with pytest.raises(BinanceError) as caught:
            usage.request("a", 1, now_ns)
        assert (caught.value.status, caught.value.code) == (429, -1003)
        assert caught.value.headers["Retry-After"] == "40"
    lengths = []
    for _ in range(3):
        with pytest.raises(BinanceError) as caught:
            usage.request("a", 1, now_ns)
        assert (caught.value.status, caught.value.code) == (418, -1003)
        assert f"banned until {caught.value.data['retryAfter']}" in caught.value.message
        lengths.append(int(caught.value.headers["Retry-After"]))
        usage.request("b", 100, now_ns)
        now_ns = (now_ns + lengths[-1] * SECOND_NS) // MINUTE.span_ns * MINUTE.span_ns + MINUTE.span_ns
        usage.request("a", 100, now_ns)
        for _ in range(IGNORED_BEFORE_BAN):
            with pytest.raises(BinanceError):
                usage.request("a", 1, now_ns)
    assert lengths == [120, 240, 480]


def test_orders_are_counted_by_account_and_given_back_by_fills() -> None:
    usage = Usage((TEN,))
    usage.place("one", 5, START_NS)
    with pytest.raises(BinanceError) as caught:
        usage.place("one", 1, START_NS)
    assert (caught.value.status, caught.value.code) == (429, -1015)
    assert caught.value.message == "Too many new orders; current limit is 5 orders per 10 SECOND."
    usage.place("two", 5, START_NS)
    usage.filled("one", False, START_NS)
    usage.place("one", 1, START_NS)
    usage.filled("one", True, START_NS)
    usage.filled("one", True, START_NS)
    assert usage.order_rows("one", START_NS)[0]["count"] == 0
    usage.place("one", 5, START_NS + 10 * SECOND_NS)


async def test_the_wire_shows_and_enforces_its_windows(tmp_path: Path) -> None:
    limits = (
        Limit(kind="REQUEST_WEIGHT", interval="MINUTE", interval_num=1, limit=1_000_000),
        Limit(kind="ORDERS", interval="SECOND", interval_num=10, limit=100_000),
        Limit(kind="ORDERS", interval="DAY", interval_num=1, limit=3),
    )
    fields = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "59000"}
    async with world(tmp_path, gateway={"limits": limits}) as one:
        client = one.demo
        for count in (1, 2, 3):
            query = client.query({**fields, "quantity": "0.1"})
            status, _, headers = await client.raw("POST", "/api/v3/order", query)
            assert status == 200 and headers["X-MBX-ORDER-COUNT-1D"] == str(count)
            assert "X-MBX-ORDER-COUNT-10S" in headers and int(headers["X-MBX-USED-WEIGHT-1M"]) >= 1
        assert (await client.refused("POST", "/api/v3/order", **fields, quantity="0.1"))[:2] == (429, -1015)
        # fills of makers give places back
        await one.other.order("SELL", "59000", "0.1")
        await client.order("BUY", "59000", "0.1")
        # a refused order is not counted
        before = (await client.signed("GET", "/api/v3/rateLimit/order"))[1]["count"]
        await client.refused("POST", "/api/v3/order", **fields, quantity="140")
        assert (await client.signed("GET", "/api/v3/rateLimit/order"))[1]["count"] == before


async def test_too_much_weight_is_refused_on_the_wire(tmp_path: Path) -> None:
    limits = (Limit(kind="REQUEST_WEIGHT", interval="DAY", interval_num=1, limit=100),)
    async with world(tmp_path, gateway={"limits": limits}) as one:
        statuses = []
        for _ in range(4):
            status, body, headers = await one.demo.raw("GET", "/api/v3/depth", f"symbol={SYMBOL}&limit=500")
            statuses.append(status)
        assert statuses == [200] * 4
        status, body, headers = await one.demo.raw("GET", "/api/v3/ping")
        assert (status, body["code"]) == (429, -1003) and int(headers["Retry-After"]) > 0


@given(some.decimals(min_value=0, max_value=10**12, allow_nan=False, allow_infinity=False, places=12))
def test_text_of_money_is_exact_and_has_eight_decimals_or_more(value: Decimal) -> None:
    text = decimal_text(value)
    assert Decimal(text) == value and len(text.partition(".")[2]) >= 8 and "e" not in text.lower()
    assert 0 <= value - Decimal(cut_text(value)) < Decimal("1e-8")


@given(some.integers(0, 4 * 10**18), some.sampled_from(["1s", "1m", "4h", "1d", "3d", "1w", "1M"]))
def test_every_moment_lies_in_exactly_one_interval(time_ns: int, interval: str) -> None:
    start = opening_ns(time_ns, interval)
    end = closing_ns(start, interval)
    assert start <= time_ns <= end
    assert opening_ns(start, interval) == start == opening_ns(end, interval) != opening_ns(end + 1, interval)


@given(some.text(max_size=60), some.text(max_size=60))
def test_any_text_is_parameters_or_a_refusal(query: str, body: str) -> None:
    try:
        parameters = Parameters(merge(query, body))
        parameters.symbols()
        parameters.whole("limit")
        parameters.amount("price")
        parameters.finish()
    except BinanceError as error:
        assert error.code <= -1100


json_values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=5),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(json_values)
def test_any_json_is_parameters_or_a_refusal(value: object) -> None:
    try:
        assert all(isinstance(one, str) for one in from_json(value).values())
    except BinanceError as error:
        assert error.code == -1135
