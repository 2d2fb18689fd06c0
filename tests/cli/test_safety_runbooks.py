"""The runbooks of kill switch and ramp are taken on a real platform, step by step, as they are written."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from tradewind.readiness.runbooks import steps_of, take

from .conftest import Running

Start = Callable[..., Running]
RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"


def taken(page: str, running: Running) -> dict[str, tuple[bool, int | None, tuple[str, ...]]]:
    values = {"data": str(running.data), "reason": "drill", "actor": "anna"}
    results = [take(step, values) for step in steps_of(RUNBOOKS / f"{page}.md")]
    return {one.name: (one.passed, one.exit, one.missing) for one in results}


def test_the_pages_can_be_taken_as_they_stand(start: Start) -> None:
    running = start("--strategy", "none").trading()
    for page in ("kill-switch", "ramp-demotion"):
        found = taken(page, running)
        assert all(one[0] for one in found.values()), (page, found)


def test_signals_halt_the_running_platform_and_ctrl_c_still_ends_it_in_order(start: Start) -> None:
    running = start("--strategy", "none").trading()
    running.process.send_signal(signal.SIGUSR1)

    def halted() -> bool:
        return bool(running.json("status")["status"]["trading"]["state"] == "halted")

    running.until("halted", halted)
    assert running.stop() == 0
    again = start("--strategy", "none", data=running.data).trading()
    assert again.json("status")["status"]["trading"]["state"] == "halted", "a restart keeps it"


def test_orders_may_be_left_and_are_taken_up_again(start: Start) -> None:
    running = start("--strategy", "none", "--leave-orders").trading()
    price = str(int(float(running.json("market", "show", "BTC/USDT")["best_bid"])) - 200)
    placed = running.json("order", "place", "buy", "0.001", "BTC/USDT", "--price", price)
    assert running.stop() == 0
    again = start("--strategy", "none", data=running.data).trading()
    assert again.json("order", "show", str(placed["value"]))["status"] == "open"
    assert again.stop() == 0
