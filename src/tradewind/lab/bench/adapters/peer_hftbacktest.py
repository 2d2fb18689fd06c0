"""hftbacktest: a backtest engine in Rust behind compiled Python. One strategy's orders meet recorded depth.

Here that is a fixed and bottomless book: orders rest, are cancelled and take, but never meet each other.
"""

from __future__ import annotations

import importlib
import time
from typing import Any

HFT: Any = importlib.import_module("hftbacktest")
NUMPY: Any = importlib.import_module("numpy")
NUMBA: Any = importlib.import_module("numba")
ADD, TAKE, CANCEL = 0, 1, 2
BUY = 0
Operation = tuple[int, int, int, int, int]
LATENCY_NS = 1_000
BOTTOMLESS_LOTS = 1e12
GTC, IOC, LIMIT = HFT.GTC, importlib.import_module("hftbacktest.order").IOC, HFT.LIMIT
START_NS = 1_000_000_000
END_NS = 10**15
CLEAR_EVERY = 1_024
CHUNK = 4_096


def fixed_book(bid: int, ask: int) -> Any:
    """A feed of one bid, one ask, and an end that is far away."""
    rows = NUMPY.zeros(3, dtype=importlib.import_module("hftbacktest.types").event_dtype)
    both = HFT.DEPTH_EVENT | HFT.EXCH_EVENT | HFT.LOCAL_EVENT
    entries = [
        (both | HFT.BUY_EVENT, START_NS, bid),
        (both | HFT.SELL_EVENT, START_NS, ask),
        (both | HFT.BUY_EVENT, END_NS, bid),
    ]
    for row, (event, moment, price) in zip(rows, entries, strict=True):
        row["ev"], row["exch_ts"], row["local_ts"] = event, moment, moment + LATENCY_NS
        row["px"], row["qty"] = float(price), BOTTOMLESS_LOTS
    return rows


def numbered(resting: list[Operation], flow: list[Operation]) -> tuple[Any, int]:
    """Operations with small order numbers of their own; a cancel of an order that never was gets number 0."""
    numbers: dict[int, int] = {}
    rows = NUMPY.zeros((len(resting) + len(flow), 5), dtype=NUMPY.int64)
    for index, (kind, side, lots, price, order) in enumerate([*resting, *flow]):
        if kind == CANCEL:
            number = numbers.pop(order, 0)
        else:
            number = index + 1
            if kind == ADD:
                numbers[order] = number
        rows[index] = (kind, side, lots, price, number)
    return rows, len(resting)


def _apply(market: Any, rows: Any) -> int:
    """Sends each operation and waits for its response; refused cancels, or -1 when the feed ended."""
    refused = 0
    for index in range(len(rows)):
        kind, side, lots, price, number = rows[index]
        if kind == CANCEL:
            orders = market.orders(0)
            if number == 0 or number not in orders:
                refused += 1
                continue
            outcome = market.cancel(0, number, True)
        else:
            force = IOC if kind == TAKE else GTC
            if side == BUY:
                outcome = market.submit_buy_order(0, number, float(price), float(lots), force, LIMIT, True)
            else:
                outcome = market.submit_sell_order(0, number, float(price), float(lots), force, LIMIT, True)
        if outcome != 0:
            return -1
        if index % CLEAR_EVERY == 0:
            market.clear_inactive_orders(0)
    return refused


apply = NUMBA.njit(_apply)


def measure(resting: list[Operation], flow: list[Operation], limit_s: float) -> dict[str, int]:
    """Fills the book, then times the flow."""
    rows, filled = numbered(resting, flow)
    best_bid = max(price for _, side, _, price, _ in resting if side == BUY)
    asset = HFT.BacktestAsset().data(fixed_book(best_bid, best_bid + 2)).linear_asset(1.0)
    asset = asset.constant_order_latency(LATENCY_NS, LATENCY_NS).risk_adverse_queue_model()
    asset = asset.no_partial_fill_exchange().trading_value_fee_model(0.0, 0.0).tick_size(1.0).lot_size(1.0)
    market = HFT.HashMapMarketDepthBacktest([asset])
    market.elapse(2 * START_NS)
    # The first call compiles; it is the filling of the book, which is not timed.
    if apply(market, rows[:filled]) != 0:
        raise SystemExit("the book could not be filled")
    before = market.state_values(0).trading_volume
    done = refused = 0
    begin = time.perf_counter_ns()
    while done < len(flow) and time.perf_counter_ns() - begin < limit_s * 1e9:
        part = rows[filled + done : filled + done + CHUNK]
        found = apply(market, part)
        if found < 0:
            raise SystemExit("the feed ended, or an order failed")
        refused += found
        done += len(part)
    elapsed_ns = time.perf_counter_ns() - begin
    traded = market.state_values(0).trading_volume - before
    return {"commands": done, "refused": refused, "traded_lots": int(traded), "elapsed_ns": elapsed_ns}
