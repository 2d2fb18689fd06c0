"""What time does to orders: expiry, deadlines, the dead-man's switch. The clock is the test's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from gateway_world import PRICE, configuration, placed, refusal, request

from tradewind.gateways.exchange import Exchange
from tradewind.gateways.model import AccountEvent, OrderChanged, Refusal, Refused
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import OrderPhase

SECOND_NS = 10**9
DEADLINE_S = 30.0


class Clock:
    """The present as a test moves it."""

    def __init__(self) -> None:
        self.now_ns = time.time_ns()

    def __call__(self) -> int:
        self.now_ns += 1
        return self.now_ns


@pytest.fixture
async def clock() -> Clock:
    return Clock()


@pytest.fixture
async def timed(tmp_path: Path, clock: Clock) -> AsyncIterator[Exchange]:
    async with await Exchange.open(tmp_path / "data", configuration(), clock=clock) as one:
        yield one


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110 - the node's own timer changes it
            await asyncio.sleep(0.01)


def phase(exchange: Exchange, order_id: int) -> tuple[OrderPhase, str]:
    order = exchange.order("demo", order_id=order_id)
    assert order is not None
    return order.phase, order.reason


async def test_an_order_expires_at_its_moment_and_is_told(timed: Exchange, clock: Clock) -> None:
    told: list[AccountEvent] = []
    timed.listen_account("demo", told.append)
    end_ns = clock.now_ns + 60 * SECOND_NS
    order = await placed(timed, "demo", request(Side.BUY, PRICE, expires_ns=end_ns))
    assert order.expires_ns == end_ns
    clock.now_ns = end_ns + SECOND_NS
    await until(lambda: phase(timed, order.order_id) == (OrderPhase.EXPIRED, "expiry"))
    assert [one.what for one in told if isinstance(one, OrderChanged)] == ["new", "expired"]
    assert all(one.held == 0 for one in timed.funds("demo"))


async def test_the_switch_cancels_everything_unless_it_is_moved(timed: Exchange, clock: Clock) -> None:
    order = await placed(timed, "demo", request(Side.BUY, PRICE))
    other = await placed(timed, "other", request(Side.BUY, PRICE))
    fires_ns = await timed.cancel_after("demo", 10)
    assert isinstance(fires_ns, int) and abs(fires_ns - clock.now_ns - 10 * SECOND_NS) < SECOND_NS
    clock.now_ns += 8 * SECOND_NS
    assert await timed.cancel_after("demo", 10) == pytest.approx(fires_ns + 8 * SECOND_NS, abs=SECOND_NS)
    clock.now_ns += 8 * SECOND_NS
    await timed.cancel("demo", (await placed(timed, "demo", request(Side.BUY, PRICE))).order_id)
    assert phase(timed, order.order_id)[0] is OrderPhase.WORKING
    clock.now_ns += 8 * SECOND_NS
    await until(lambda: phase(timed, order.order_id) == (OrderPhase.CANCELLED, "switch"))
    untouched = timed.order("other", order_id=other.order_id)
    assert untouched is not None and untouched.phase is OrderPhase.WORKING
    assert await timed.cancel_after("demo", 0) == 0


@pytest.mark.parametrize("seconds", [1, 4, 86_401, 1 << 40])
async def test_a_window_that_the_switch_does_not_have_is_refused(timed: Exchange, seconds: int) -> None:
    answer = await timed.cancel_after("demo", seconds)
    assert isinstance(answer, Refused) and answer.refusal is Refusal.UNSUPPORTED


async def test_a_deadline_is_kept_by_the_engine_too(timed: Exchange, clock: Clock) -> None:
    now_ns = clock.now_ns
    await placed(timed, "demo", request(Side.BUY, PRICE, valid_until_ns=now_ns + SECOND_NS))
    late = asyncio.create_task(
        timed.place("demo", request(Side.BUY, PRICE, valid_until_ns=clock.now_ns + SECOND_NS))
    )
    await asyncio.sleep(0)
    # It waits for the writer: what passes now passes before the engine sees it, or behind.
    clock.now_ns += 2 * SECOND_NS
    answer = await late
    if isinstance(answer, Refused):
        assert answer.refusal is Refusal.DEADLINE_PASSED
    assert await refusal(timed, "demo", request(Side.BUY, PRICE, valid_until_ns=clock.now_ns - 1)) is (
        Refusal.DEADLINE_PASSED
    )


async def test_an_expiry_must_lie_ahead_and_within_a_month(timed: Exchange, clock: Clock) -> None:
    past = request(Side.BUY, PRICE, expires_ns=clock.now_ns - SECOND_NS)
    assert await refusal(timed, "demo", past) is Refusal.DEADLINE_PASSED
    far = request(Side.BUY, PRICE, expires_ns=clock.now_ns + 31 * 86_400 * SECOND_NS)
    assert await refusal(timed, "demo", far) is Refusal.UNSUPPORTED
