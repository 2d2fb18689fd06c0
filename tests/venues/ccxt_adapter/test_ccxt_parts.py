"""The parts of the connector through ccxt that need neither ccxt nor a venue."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradewind.venues.ccxt_adapter.calls import Caller, Failed
from tradewind.venues.ccxt_adapter.directory import (
    DECIMAL_PLACES,
    SIGNIFICANT_DIGITS,
    TICK_SIZE,
    Directory,
    exact,
)
from tradewind.venues.ccxt_adapter.exact import TRACE, ExactNumbers, HeldBack, NotJson, Turn, read_exactly
from tradewind.venues.ccxt_adapter.history import History
from tradewind.venues.ccxt_adapter.limits import MILLI, CostLimits, stated
from tradewind.venues.ccxt_adapter.market import MarketReader
from tradewind.venues.ccxt_adapter.options import CcxtOptions
from tradewind.venues.ccxt_adapter.profile import UNKNOWN_VENUE, ByClientId, Profile, profile_of
from tradewind.venues.ccxt_adapter.rows import balance_rows, order_state
from tradewind.venues.codes import RejectCode
from tradewind.venues.limits.verdicts import Denied, Granted, Priority, Wait
from tradewind.venues.market_data import BookSnapshot, FeedGap, FeedState, FloatMoney, TradePrint
from tradewind.venues.protocol import Incomplete, OrderPhase, Rejected, Uncertain
from tradewind.venues.transport.account_mirror import Unmapped

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
NS = 1_000_000_000
MARKET = {
    "id": "XBTUSD", "symbol": "BTC/USD", "base": "BTC", "quote": "USD", "spot": True, "active": True,
    "precision": {"price": "0.1", "amount": "0.0001"},
    "limits": {"amount": {"min": "0.001", "max": None}, "cost": {"min": "5", "max": "0"}},
}  # fmt: skip


def directory(**changes: Any) -> Directory:
    return Directory.of("test", {"BTC/USD": MARKET | changes}, TICK_SIZE, 1)


# ---- exact numbers -----------------------------------------------------------------------------------------


@given(
    number=st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**9), max_value=10**9)
)
@patient
def test_every_number_of_an_answer_is_what_the_venue_wrote(number: Decimal) -> None:
    text = format(number, "f")
    value = read_exactly(f'{{"a": [{text}]}}')["a"][0]
    assert not isinstance(value, float)
    assert exact(value, "a") == number


@pytest.mark.parametrize("body", ["", "<html>", '{"a": NaN}', '{"a": Infinity}', "[1,", "[" * 100_000])
def test_what_is_no_exact_json_is_no_answer(body: str) -> None:
    with pytest.raises(NotJson):
        read_exactly(body)


@pytest.mark.parametrize("value", [0.1, float("nan"), True])
def test_a_float_never_becomes_money(value: Any) -> None:
    with pytest.raises(FloatMoney):
        exact(value, "price")


@pytest.mark.parametrize("value", ["", "x", "NaN", "Infinity", "1e99", "1" * 60, None])
def test_what_is_no_amount_is_not_mapped(value: Any) -> None:
    with pytest.raises(Unmapped):
        exact(value, "price")


# ---- one after the other -----------------------------------------------------------------------------------


@given(order=st.lists(st.sampled_from(list(Priority)), max_size=12))
@settings(patient, max_examples=50)
def test_the_highest_class_goes_first_and_each_class_in_its_order(order: list[Priority]) -> None:
    async def run() -> list[tuple[int, int]]:
        turn, seen = Turn(), []
        await turn.take(Priority.P5)

        async def one(number: int, cls: Priority) -> None:
            await turn.take(cls)
            seen.append((int(cls), number))
            turn.give()

        tasks = [asyncio.create_task(one(number, cls)) for number, cls in enumerate(order)]
        await asyncio.sleep(0)
        turn.give()
        await asyncio.gather(*tasks)
        await turn.take(Priority.P5)  # free again, whatever came before
        return seen

    assert asyncio.run(run()) == sorted((int(cls), number) for number, cls in enumerate(order))


async def test_who_leaves_the_queue_does_not_keep_the_turn() -> None:
    turn = Turn()
    await turn.take(Priority.P0)
    waiting = asyncio.create_task(turn.take(Priority.P0))
    await asyncio.sleep(0)
    turn.give()
    waiting.cancel()  # in the moment in which its turn came
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with asyncio.timeout(5):
        await turn.take(Priority.P0)


# ---- limits ------------------------------------------------------------------------------------------------

STEPS = st.tuples(st.integers(0, 3 * NS), st.sampled_from(list(Priority)), st.integers(1, 3_000))


@given(units=st.integers(1, 20), working=st.integers(0, 30), steps=st.lists(STEPS, max_size=80))
@patient
def test_no_window_ever_has_more_than_its_units(units: int, working: int, steps: list[Any]) -> None:
    limits = CostLimits(units, 10, lambda: working)
    granted: deque[tuple[int, int]] = deque()
    now_ns = 0
    for wait_ns, cls, cost in steps:
        now_ns += wait_ns
        verdict = limits.admit(cls, [cost], now_ns)
        if isinstance(verdict, Granted):
            granted.append((now_ns, cost))
        elif isinstance(verdict, Wait):
            assert now_ns < verdict.until_ns <= now_ns + 10 * NS
        window = [one for at_ns, one in granted if now_ns - at_ns < 10 * NS]
        # one call that costs more than its share goes alone
        assert sum(window) <= units * MILLI or len(window) == 1


@given(working=st.integers(0, 30))
@patient
def test_new_risk_leaves_room_for_cancels(working: int) -> None:
    limits = CostLimits(20, 10, lambda: working)
    while isinstance(limits.admit(Priority.P3, [MILLI], 0), Granted):
        pass
    cancels = 0
    while isinstance(limits.admit(Priority.P0, [MILLI], 0), Granted):
        cancels += 1
    assert cancels >= min(working, 10)
    assert cancels >= 6


def test_a_refusal_for_rate_stops_everything_for_as_long_as_it_says() -> None:
    limits = CostLimits(20, 10, lambda: 0)
    limits.refused("7", 60, 0)
    assert limits.admit(Priority.P0, [1], 6 * NS) == Wait(7 * NS, "TooManyRequests")
    assert isinstance(limits.admit(Priority.P0, [1], 7 * NS), Granted)
    limits.refused(None, 60, 7 * NS)
    assert limits.admit(Priority.P0, [1], 8 * NS) == Wait(67 * NS, "TooManyRequests")
    assert isinstance(limits.admit(Priority.P4, [30 * MILLI], 200 * NS), Denied)


def test_the_rate_is_the_one_that_ccxt_states_unless_another_is_configured() -> None:
    assert stated(SimpleNamespace(rateLimit=50, rollingWindowSize=0.0), None) == (200, 10)
    assert stated(SimpleNamespace(rateLimit=1_000, rollingWindowSize=60_000.0), None) == (60, 60)
    assert stated(SimpleNamespace(rateLimit=50, rollingWindowSize=0.0), 3) == (30, 10)


class Plain:
    """What the mixin needs of ccxt's base class; a request lasts until it is let go."""

    id = "plain"

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.go = asyncio.Event()
        self.under_way = self.most = 0

    def calculate_rate_limiter_cost(self, *_: Any) -> float:
        return 1

    async def fetch2(self, path: str, *_: Any) -> str:
        return await self.fetch(path)

    async def fetch(self, path: str) -> str:
        self.sent.append(path)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await self.go.wait()
        self.under_way -= 1
        return path

    async def ask(self, path: str, api: str) -> str:
        return await self.fetch2(path, api)


class Exact(ExactNumbers, Plain):
    """As an exchange object of ours."""


async def test_a_cancel_does_not_wait_for_what_waits_for_its_budget() -> None:
    exchange = Exact()
    limits = CostLimits(10, 60, lambda: 0)
    one = Caller(exchange, limits, call_timeout_s=30, retry_after_missing_s=1)
    exchange.go.set()
    while isinstance(limits.admit(Priority.P5, [MILLI], time.monotonic_ns()), Granted):
        pass
    history = asyncio.create_task(one.call("ask", "history", "private", cls=Priority.P5))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert await one.call("ask", "cancel", "private", cls=Priority.P0) == "cancel"
    assert exchange.sent == ["cancel"]
    history.cancel()


async def test_private_requests_go_one_by_one_and_public_ones_beside_them() -> None:
    exchange = Exact()
    one = Caller(exchange, CostLimits(100, 10, lambda: 0), call_timeout_s=30, retry_after_missing_s=1)
    wanted = [("a", "private"), ("b", "sapi"), ("c", "public"), ("d", "private")]
    tasks = [asyncio.create_task(one.call("ask", *words, cls=Priority.P2)) for words in wanted]
    for _ in range(20):
        await asyncio.sleep(0)
    assert exchange.sent == ["a", "c"]
    exchange.go.set()
    assert await asyncio.gather(*tasks) == ["a", "b", "c", "d"]
    assert exchange.most == 2


# ---- what an error means -----------------------------------------------------------------------------------


class BaseError(Exception): ...


class ExchangeError(BaseError): ...


class OperationFailed(BaseError): ...


class NetworkError(OperationFailed): ...


class RequestTimeout(NetworkError): ...


class RateLimitExceeded(NetworkError): ...


class InvalidOrder(ExchangeError): ...


class OrderNotFound(InvalidOrder): ...


class InsufficientFunds(ExchangeError): ...


class FakeExchange:
    """An exchange object whose one call raises. Errors have the names of ccxt's."""

    id = "fake"
    apiKey, secret = "the-api-key", "the-secret"
    has: dict[str, bool]

    def __init__(self, error: Exception | None = None, **trace: Any) -> None:
        self.error, self.trace = error, trace
        self.features: dict[str, Any] = {}
        self.has = {}
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    async def create_order(self) -> str:
        return await self.act()

    async def act(self) -> str:
        trace = TRACE.get()
        assert trace is not None
        for name, value in self.trace.items():
            setattr(trace, name, value)
        if self.error is not None:
            raise self.error
        return "done"


def caller(exchange: Any) -> Caller:
    limits = CostLimits(1_000, 10, lambda: 0)
    return Caller(exchange, limits, call_timeout_s=5, retry_after_missing_s=1)


async def judged(error: Exception, method: str = "act", **trace: Any) -> Failed:
    answer = await caller(FakeExchange(error, **trace)).call(method, cls=Priority.P2)
    assert isinstance(answer, Failed)
    return answer


ANSWERED = {"sent": 1, "answered": True, "readable": True, "status": 400}


async def test_a_word_of_the_venue_is_a_refusal_and_silence_never_is() -> None:
    refused = await judged(InsufficientFunds("no money"), **ANSWERED)
    assert refused.as_change() == Rejected(RejectCode.INSUFFICIENT_FUNDS, "no money", True)
    assert (await judged(OrderNotFound("?"), **ANSWERED)).absent
    for error in (
        RequestTimeout("x"),
        RateLimitExceeded("x"),
        OperationFailed("x"),
        KeyError("x"),
        TimeoutError(),
    ):
        assert isinstance((await judged(error, **ANSWERED)).as_change(), Uncertain)


@pytest.mark.parametrize(
    "trace", [{"answered": False}, {"readable": False}, {"status": 502}, {"status": None}]
)
async def test_a_refusal_that_the_venue_did_not_utter_is_uncertain(trace: dict[str, Any]) -> None:
    """ccxt raises errors of refusals for broken connections, and from answers to other requests."""
    failed = await judged(OrderNotFound("from an earlier answer"), **(ANSWERED | trace))
    assert isinstance(failed.as_change(), Uncertain)


async def test_an_order_that_the_venue_took_is_not_refused_because_ccxt_cannot_read_the_answer() -> None:
    taken = ANSWERED | {"status": 200, "accepted": True}
    for error in (InvalidOrder("no market of this name"), OrderNotFound("?"), InsufficientFunds("?")):
        assert (await judged(error, "create_order", **taken)).code is None
    assert (await judged(OrderNotFound("an empty list"), **taken)).absent, "of a read that is an answer"
    assert (await judged(InvalidOrder("?"), **taken)).code is None


async def test_an_error_of_no_known_kind_is_uncertain_and_one_before_sending_is_not() -> None:
    assert (await judged(ExchangeError("something new"), **ANSWERED)).code is None
    assert (await judged(InvalidOrder("too small"))).code is RejectCode.VENUE_REJECTED
    held = await judged(HeldBack("RateLimitedLocal"))
    assert held.code is RejectCode.RATE_LIMITED_LOCAL
    assert (await judged(HeldBack("RateLimitedLocal"), sent=1)).code is None


async def test_words_of_a_venue_decide_where_ccxt_has_a_wider_class() -> None:
    failed = await judged(InvalidOrder('fake {"error":["EOrder:Unknown order"]}'), **ANSWERED)
    assert failed.absent
    failed = await judged(InvalidOrder("fill or kill could not be filled"), **ANSWERED)
    assert failed.code is RejectCode.NOT_FILLABLE


async def test_a_reason_holds_no_address_and_nothing_of_the_key() -> None:
    text = "fake GET https://host/x?apiKey=the-api-key&signature=abc the-secret the-api-key"
    for error in (InsufficientFunds(text), RequestTimeout(text)):
        failed = await judged(error, **ANSWERED)
        for word in ("host", "signature", "the-secret", "the-api-key"):
            assert word not in failed.reason


async def test_a_call_that_never_answers_ends() -> None:
    exchange = FakeExchange()
    one = Caller(exchange, CostLimits(9, 1, lambda: 0), call_timeout_s=0.01, retry_after_missing_s=1)
    exchange.act = asyncio.Event().wait  # type: ignore[assignment,method-assign]
    answer = await one.call("act", cls=Priority.P0)
    assert isinstance(answer, Failed)
    assert answer.code is None


# ---- lists -------------------------------------------------------------------------------------------------


class Ledger(FakeExchange):
    """Executions at a venue that gives at most a page, the latest of what was asked for."""

    def __init__(self, times_ms: list[int], page: int, span_ms: int = 0) -> None:
        super().__init__()
        self.rows = [
            {
                "id": str(number), "order": "1", "symbol": "BTC/USD", "side": "buy", "price": "1.0",
                "amount": "0.001", "fee": {"cost": "0.1", "currency": "USD"}, "takerOrMaker": "maker",
                "timestamp": at_ms,
            }
            for number, at_ms in enumerate(sorted(times_ms))
        ]  # fmt: skip
        self.page, self.span_ms, self.asked = page, span_ms, 0
        self.has = {"fetchMyTrades": True}

    async def fetch_my_trades(
        self, symbol: str | None, since: int | None, limit: int | None, params: dict[str, Any]
    ) -> list[dict[str, Any]]:
        self.asked += 1
        until = params.get("until")
        if self.span_ms and since is not None and until is not None:
            assert until - since <= self.span_ms
        found = [
            row
            for row in self.rows
            if (since is None or row["timestamp"] >= since) and (until is None or row["timestamp"] <= until)
        ]
        return found[-self.page :]


def history(exchange: Any, **profile: Any) -> History:
    one = History(caller(exchange), Profile(**profile))
    one.directory = directory()
    return one


NOW_MS = 1_800_000_000_000


@given(
    times_ms=st.lists(st.integers(NOW_MS - 10**8, NOW_MS), unique_by=lambda at: at // 5_000, max_size=40),
    page=st.integers(2, 12),
    since_ms=st.one_of(st.just(0), st.integers(NOW_MS - 10**8, NOW_MS)),
    span_s=st.sampled_from([0, 86_400]),
)
@settings(patient, max_examples=60)
def test_a_list_has_every_row_or_says_that_it_has_not(
    times_ms: list[int], page: int, since_ms: int, span_s: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.time_ns", lambda: NOW_MS * 1_000_000)
        exchange = Ledger(times_ms, page, span_s * 1_000)
        one = history(exchange, page_rows=page, until=True, span_s=span_s)
        found = asyncio.run(one.executions([], since_ms))
    wanted = [row["id"] for row in exchange.rows if row["timestamp"] >= since_ms]
    if isinstance(found, Incomplete):
        assert since_ms == 0, found
        assert span_s, "without a longest span everything can be asked for"
        assert len(wanted) >= page, "one page that is not full is everything"
    else:
        assert [fact.trade_id for fact in found] == wanted


def test_a_full_page_is_incomplete_where_no_end_can_be_asked_for() -> None:
    exchange = Ledger([NOW_MS - number for number in range(20)], 10)
    found = asyncio.run(history(exchange, page_rows=10).executions([], NOW_MS - 10_000))
    assert isinstance(found, Incomplete)
    assert "cut off" in found.reason


def test_a_row_that_cannot_be_told_makes_the_list_incomplete() -> None:
    for change in (
        {"fee": None},
        {"takerOrMaker": None},
        {"price": 1.5},
        {"symbol": "NO/SUCH"},
        {"side": "??"},
    ):
        exchange = Ledger([NOW_MS], 10)
        exchange.rows[0] |= change
        found = asyncio.run(history(exchange).executions([], 0))
        assert isinstance(found, Incomplete), change


# ---- rows --------------------------------------------------------------------------------------------------

ORDER = {
    "id": "7", "clientOrderId": "tw1", "symbol": "BTC/USD", "side": "sell", "status": "open",
    "price": "100.5", "amount": "0.5", "filled": "0.2", "timestamp": 1_700_000_000_123,
}  # fmt: skip


def test_an_order_is_told_in_whole_ticks_and_lots() -> None:
    state = order_state(ORDER, directory())
    assert (state.price_ticks, state.lots, state.filled_lots) == (1_005, 5_000, 2_000)
    assert state.phase is OrderPhase.PARTIALLY_FILLED
    assert state.updated_ns == 1_700_000_000_123_000_000


@pytest.mark.parametrize(
    ("status", "filled", "phase"),
    [
        ("closed", "0.5", OrderPhase.FILLED),
        ("closed", "0.2", OrderPhase.CANCELLED),
        ("canceled", "0.2", OrderPhase.CANCELLED),
        ("expired", "0", OrderPhase.EXPIRED),
        ("rejected", "0", OrderPhase.REJECTED),
        ("canceling", "0", OrderPhase.WORKING),
    ],
)
def test_an_order_that_ended_without_filling_is_not_filled(
    status: str, filled: str, phase: OrderPhase
) -> None:
    assert order_state(ORDER | {"status": status, "filled": filled}, directory()).phase is phase


@pytest.mark.parametrize(
    "change",
    [
        {"status": "frozen"}, {"status": None}, {"filled": None}, {"filled": "0.6"}, {"amount": "0.50005"},
        {"id": None}, {"side": None}, {"symbol": None}, {"timestamp": None}, {"price": "100.55"},
    ],
)  # fmt: skip
def test_an_order_that_is_not_wholly_told_is_not_guessed(change: dict[str, Any]) -> None:
    with pytest.raises(Unmapped):
        order_state(ORDER | change, directory())


def test_balances_are_free_and_held_or_unknown() -> None:
    good = {"free": "1.5", "used": "0.5", "total": "2.0"}
    rows, problems = balance_rows({"total": {"BTC": "2.0"}, "BTC": good}, 9)
    assert ([(one.asset, one.free, one.held) for one in rows], problems) == (
        [("BTC", Decimal("1.5"), Decimal("0.5"))],
        [],
    )
    for change in ({"used": None}, {"free": None}, {"total": "3"}, {"free": "-1", "total": "-0.5"}):
        rows, problems = balance_rows({"total": {"BTC": "2.0"}, "BTC": good | change}, 9)
        assert rows == []
        assert len(problems) == 1
    with pytest.raises(FloatMoney):
        balance_rows({"total": {"BTC": 2.0}, "BTC": good | {"free": 1.5}}, 9)


# ---- markets -----------------------------------------------------------------------------------------------


def test_a_market_is_an_instrument_and_zero_is_no_rule() -> None:
    one = directory().instruments["BTC/USD"]
    assert (one.tick, one.lot, one.min_quantity, one.max_quantity) == (
        Decimal("0.1"), Decimal("0.0001"), Decimal("0.001"), None
    )  # fmt: skip
    assert (one.min_notional, one.max_notional) == (5, None)


def test_decimal_places_are_steps_and_significant_digits_are_none() -> None:
    market = MARKET | {"precision": {"price": 1, "amount": 4}}
    one = Directory.of("t", {"BTC/USD": market}, DECIMAL_PLACES, 1).instruments["BTC/USD"]
    assert (one.tick, one.lot) == (Decimal("0.1"), Decimal("0.0001"))
    assert Directory.of("t", {"BTC/USD": market}, SIGNIFICANT_DIGITS, 1).instruments == {}


@pytest.mark.parametrize(
    "change",
    [
        {"precision": {"price": 0.1, "amount": "0.1"}}, {"precision": {"price": None, "amount": "0.1"}},
        {"precision": {"price": "0", "amount": "0.1"}}, {"symbol": "BTC/USD:USD"}, {"limits": {}},
    ],
)  # fmt: skip
def test_a_market_that_cannot_be_told_exactly_is_quarantined_with_its_reason(change: dict[str, Any]) -> None:
    found = directory(**change)
    assert found.instruments == {}
    assert len(found.quarantined) == 1


@pytest.mark.parametrize(("active", "word"), [(True, "online"), (False, "maintenance"), (None, "unknown")])
def test_only_what_is_said_to_be_active_is_online(active: bool | None, word: str) -> None:
    found = directory(active=active)
    assert str(found.states["BTC/USD"]) == word
    assert found.instruments["BTC/USD"].status == word


def test_an_unknown_venue_promises_nothing() -> None:
    assert profile_of("nowhere") is UNKNOWN_VENUE
    assert (UNKNOWN_VENUE.horizon_s, UNKNOWN_VENUE.client_ids) == (None, False)
    kraken = profile_of("kraken")
    assert (kraken.by_client_id, kraken.cancel_after_s) == (ByClientId.LISTS, (5, 300))
    assert kraken.takes("tw0123456789abcdef")
    assert not kraken.takes("x" * 19)
    assert not profile_of("binance").takes("a b")


# ---- market data -------------------------------------------------------------------------------------------


class Tape(FakeExchange):
    def __init__(self) -> None:
        super().__init__()
        self.has = {"fetchTrades": True}
        self.book: Any = {"bids": [["99.9", "1"], ["100.0", "2"]], "asks": [["100.1", "1"]]}
        self.trades: list[dict[str, Any]] = []

    async def fetch_order_book(self, symbol: str, limit: int) -> Any:
        return json.loads(json.dumps(self.book))

    async def fetch_trades(self, *_: Any) -> Any:
        return self.trades


def trade(number: int) -> dict[str, Any]:
    return {"id": str(number), "price": "100.0", "amount": "0.1", "side": "buy", "timestamp": number}


async def test_a_book_is_sorted_by_us_and_told_when_it_changed() -> None:
    tape = Tape()
    reader = MarketReader(caller(tape), directory().instruments["BTC/USD"], CcxtOptions(exchange="x"))
    first = await reader.read()
    [book] = [one for one in first if isinstance(one, BookSnapshot)]
    assert book.bids == ((1_000, 20_000), (999, 10_000))
    assert await reader.read() == []
    tape.book["asks"] = [[100.1, 1.0]]
    [state] = await reader.read()
    assert isinstance(state, FeedState)
    assert "FloatMoney" in state.reason
    tape.book["asks"] = [["99.0", "1"]]
    assert await reader.read() == [], "still suspect: a crossed book is none"


async def test_trades_are_told_once_and_a_hole_between_two_readings_is_a_gap() -> None:
    tape = Tape()
    reader = MarketReader(caller(tape), directory().instruments["BTC/USD"], CcxtOptions(exchange="x"))
    tape.trades = [trade(1), trade(2)]
    await reader.read()
    tape.trades = [trade(2), trade(3)]
    assert [one.trade_id for one in await reader.read() if isinstance(one, TradePrint)] == [3]
    tape.trades = [trade(8), trade(9)]
    events = await reader.read()
    assert [type(one) for one in events] == [FeedGap, TradePrint, TradePrint]
