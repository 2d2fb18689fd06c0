"""The suite `tick-to-order` measures orders that reached the venue, whole and step by step."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any, Final

import pytest

from tradewind.lab.bench import tick_to_order
from tradewind.lab.bench.budgets import BUDGETS, figure
from tradewind.lab.bench.context import Context, MeasureFailed
from tradewind.lab.bench.tick_children import HEADER
from tradewind.lab.bench.tick_to_order import STEPS, WARM_ORDERS, Intake, Trip, _figures

ATTEMPTS: Final = 3


class Listening:
    def __init__(self) -> None:
        self.taken: list[tuple[int, int, bytes]] = []

    def take(self, due_ns: int, sent_ns: int, frame: bytes) -> None:
        self.taken.append((due_ns, sent_ns, frame))


class Done:
    """What a trader leaves behind: trips of which each step took a microsecond, the last one ten."""

    ticks = 5
    late_ns = (1_000, 2_000)

    def __init__(self, missing: bool = False) -> None:
        usual = [1_000 * number for number in range(len(STEPS) + 1)]
        slow = [*usual[:-1], usual[-1] + 9_000]
        first = [0, *(10**9 for _ in STEPS)]
        self.trips = [Trip(list(one)) for one in (*[first] * WARM_ORDERS, *[usual] * 3, slow)]
        if missing:
            self.trips[-1].marks.pop()


def measured(context: Context) -> dict[str, Any]:
    """A starved machine loses the private stream, and the desk then rightly refuses: that is no figure."""
    effort = dataclasses.replace(context.effort, tick_orders=4)
    for attempt in range(ATTEMPTS):
        scratch = context.scratch / str(attempt)
        try:
            return tick_to_order.run(dataclasses.replace(context, effort=effort, scratch=scratch))
        except (MeasureFailed, TimeoutError):
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


def test_orders_are_measured_whole_and_in_steps(context: Context) -> None:
    figures = measured(context)
    assert figures["orders"] == 4, "every fifth frame leads to an order, however late it comes"
    assert set(STEPS) < set(figures)
    assert 0 < figures["p50_us"] <= figures["p99_us"] <= figures["p999_us"] <= figures["max_us"]
    assert sum(figures[step]["p50_us"] for step in STEPS) > 0
    assert figures["journal"]["p50_us"] > 0, "an order is journaled before it leaves"
    assert figures["disk_sync_alone_p50_us"] > 0
    wanted = [one.path for one in BUDGETS if one.path.startswith("tick-to-order.")]
    assert len(wanted) == 3
    assert all(figure({"tick-to-order": figures}, path) is not None for path in wanted)


def test_an_order_is_counted_from_when_its_frame_was_due_and_the_first_ones_are_not() -> None:
    figures = _figures(Done())  # type: ignore[arg-type]
    assert figures["orders"] == 4
    assert (figures["p50_us"], figures["max_us"]) == (len(STEPS), len(STEPS) + 9)
    assert figures["write"] == {"p50_us": 1, "p99_us": 10}
    assert figures["arrival"] == {"p50_us": 1, "p99_us": 1}


def test_an_order_without_a_whole_trace_is_a_failure_and_no_figure() -> None:
    with pytest.raises(MeasureFailed, match="trace"):
        _figures(Done(missing=True))  # type: ignore[arg-type]


@pytest.mark.parametrize("piece", [1, 7, 21, 1_000])
def test_frames_are_cut_out_of_the_stream_wherever_it_is_broken(piece: int) -> None:
    frames = [(number, number + 1, bytes(number)) for number in range(1, 60)]
    stream = b"".join(HEADER.pack(due, sent, len(frame)) + frame for due, sent, frame in frames)
    heard, ended = Listening(), asyncio.Event()
    intake = Intake(heard, ended)  # type: ignore[arg-type]
    for at in range(0, len(stream), piece):
        intake.data_received(stream[at : at + piece])
    intake.connection_lost(None)
    assert heard.taken == frames
    assert ended.is_set()
