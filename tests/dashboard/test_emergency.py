"""A control is a success only when its effect was read back, by itself and by the console."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from tradewind.dashboard import emergency
from tradewind.dashboard.emergency import consequences, judge, read_back, result_html, run_control
from tradewind.observe.controls import ControlResult, Outcome
from tradewind.observe.view import PlatformView, PositionView, Reading, TradingView

HALTED = PlatformView(
    taken_ns=10, env="paper", version="1", orders_open=0, trading=TradingView(state="halted")
)
VERIFIED = ControlResult(
    action="halt", outcome=Outcome.VERIFIED, orders_before=3, orders_after=0, state_after="halted"
)


def test_a_stop_that_the_console_sees_too_stays_verified() -> None:
    assert judge(VERIFIED, HALTED).outcome is Outcome.VERIFIED


@pytest.mark.parametrize(
    "seen",
    [
        None,
        msgspec.structs.replace(HALTED, orders_open=1),
        msgspec.structs.replace(HALTED, orders_open=None),
        msgspec.structs.replace(HALTED, trading=TradingView(state="normal")),
    ],
    ids=["nothing read", "order left", "orders unknown", "still trading"],
)
def test_a_claimed_stop_that_the_console_does_not_see_is_not_verified(seen: PlatformView | None) -> None:
    judged = judge(VERIFIED, seen)
    assert judged.outcome is Outcome.NOT_VERIFIED
    assert judged.detail
    assert 'class="outcome bad"' in result_html(judged, seen)


async def test_a_control_that_raises_is_shown_as_failed_with_its_code() -> None:
    class Stopped(Exception):
        code = "PortStopped"

    async def fails() -> ControlResult:
        raise Stopped("the journal is stopped")

    result = await run_control(fails(), "halt")
    assert (result.outcome, result.code) == (Outcome.FAILED, "PortStopped")
    html = result_html(result, None)
    assert "the journal is stopped" in html and "Failed" in html and "tradewind halt" in html


async def test_a_control_without_an_answer_is_not_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emergency, "CONTROL_TIMEOUT_S", 0.01)

    async def hangs() -> ControlResult:
        await asyncio.Event().wait()
        raise AssertionError

    assert (await run_control(hangs(), "flatten")).outcome is Outcome.NOT_VERIFIED


async def test_read_back_waits_for_a_view_that_is_newer_than_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(emergency, "READ_BACK_STEP_S", 0.001)
    monkeypatch.setattr(emergency, "READ_BACK_S", 0.01)
    views = iter([5, 5, 20])
    seen = await read_back(lambda: msgspec.structs.replace(HALTED, taken_ns=next(views)), 10)
    assert seen is not None and seen.taken_ns == 20
    assert await read_back(lambda: msgspec.structs.replace(HALTED, taken_ns=5), 10) is None


def test_consequences_state_the_numbers_and_unknown_ones_as_unknown() -> None:
    position = PositionView(quantity=Reading.known("0.25"))
    view = msgspec.structs.replace(HALTED, orders_open=7, position=position)
    assert "<b>7</b> open orders" in consequences(view, "halt") and "Keeps the position" in consequences(
        view, "halt"
    )
    assert "Sells the position" in consequences(view, "flatten")
    unknown = msgspec.structs.replace(HALTED, orders_open=None, position=PositionView())
    assert "an unknown number of" in consequences(unknown, "halt")
    flat = msgspec.structs.replace(HALTED, position=PositionView(quantity=Reading.known("0")))
    assert "no position to keep" in consequences(flat, "halt")


def test_what_is_left_is_listed_and_escaped() -> None:
    result = msgspec.structs.replace(
        VERIFIED, outcome=Outcome.NOT_VERIFIED, left=("<b>7</b>",), orders_after=1
    )
    html = result_html(result, HALTED)
    assert "&lt;b&gt;7&lt;/b&gt;" in html and "Still open" in html
