"""Round trips, clock bounds and states of our own gateways; contradictions are unknown, not zero."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from gateway_world import opened
from hypothesis import given
from hypothesis import strategies as st

from tradewind.venues.market_data import DecodeError
from tradewind.venues.ping import bounds, ping
from tradewind.venues.transport.errors import TransportError


@pytest.mark.parametrize(("venue", "status"), [("kraken", {"online"}), ("binance", {"normal", "answers"})])
async def test_a_gateway_on_this_machine_has_this_machines_clock(
    venue: str, status: set[str], tmp_path: Path
) -> None:
    async with opened(tmp_path) as exchange:
        gateway = importlib.import_module(f"tradewind.gateways.{venue}.gateway").build(exchange)
        await gateway.start()
        try:
            report = await ping(venue, gateway.url, samples=3)
        finally:
            await gateway.close()
    assert report.offset_low_ms is not None
    assert report.offset_high_ms is not None
    assert report.offset_low_ms <= 0 <= report.offset_high_ms
    assert report.offset_high_ms - report.offset_low_ms <= report.clock_step_ms + report.median_round_trip_ms
    assert 0 < report.best_round_trip_ms <= report.median_round_trip_ms
    assert report.status in status


async def test_an_address_that_does_not_answer_is_an_error() -> None:
    with pytest.raises(TransportError):
        await ping("kraken", "http://127.0.0.1:9")


async def test_another_venue_at_the_address_is_no_clock(tmp_path: Path) -> None:
    async with opened(tmp_path) as exchange:
        gateway = importlib.import_module("tradewind.gateways.binance.gateway").build(exchange)
        await gateway.start()
        try:
            with pytest.raises((DecodeError, TransportError)):
                await ping("kraken", gateway.url)
        finally:
            await gateway.close()


STEP = 1_000
SAMPLE = st.tuples(st.integers(0, 10**6), st.integers(0, 10**4), st.integers(0, 10**4))


@given(st.integers(-(10**6), 10**6), st.lists(SAMPLE, min_size=1, max_size=6), st.sampled_from([1, STEP]))
def test_the_true_difference_is_always_inside_the_bounds(
    ahead: int, delays: list[tuple[int, int, int]], step: int
) -> None:
    """Whatever the delays are: the venue reads its clock `there` later, in whole steps."""
    samples = []
    for sent, there, back in delays:
        told = (sent + there + ahead) // step * step
        samples.append((sent, told, sent + there + back))
    found = bounds(samples, step)
    assert found is not None
    assert found[0] <= ahead <= found[1]


def test_clocks_that_contradict_each_other_have_no_difference() -> None:
    assert bounds([(0, 0, 10), (100, 90_000, 110)], 1) is None
