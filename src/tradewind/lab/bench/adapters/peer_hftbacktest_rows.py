"""hftbacktest on recorded rows: its own feed, latency and queue model; the quoter compiled and plain.

The rows get one clock (the receiver's), since its feed wants the venue's time before the receiver's.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

rows: Any = importlib.import_module("rows")
HFT: Any = importlib.import_module("hftbacktest")
NUMPY: Any = importlib.import_module("numpy")
NUMBA: Any = importlib.import_module("numba")
GTX, LIMIT = HFT.GTX, HFT.LIMIT
SECOND_NS = 1_000_000_000
OFFSET_TICKS = 50
LATENCY_NS = 40_000_000
QUOTE_LOTS = 40
FAR_NS = 10**15
WARM_EVENTS = 20_000
KINDS = {rows.LEVEL: HFT.DEPTH_EVENT, rows.TRADE: HFT.TRADE_EVENT, rows.BEST_BID: HFT.DEPTH_BBO_EVENT,
         rows.BEST_ASK: HFT.DEPTH_BBO_EVENT}  # fmt: skip


def feed(recording: Any) -> Any:
    """The rows as its events. A trade's side is that of who took."""
    events = NUMPY.zeros(len(recording.rows), dtype=importlib.import_module("hftbacktest.types").event_dtype)
    tick, lot = float(recording.tick), float(recording.lot)
    for place, (kind, side, flags, _, at_ns, _, price, lots) in enumerate(recording.rows):
        what = KINDS[kind]
        if kind == rows.LEVEL and flags & rows.SNAPSHOT:
            what = HFT.DEPTH_SNAPSHOT_EVENT
        both = HFT.EXCH_EVENT | HFT.LOCAL_EVENT
        events[place]["ev"] = what | both | (HFT.SELL_EVENT if side else HFT.BUY_EVENT)
        events[place]["exch_ts"] = events[place]["local_ts"] = at_ns
        events[place]["px"], events[place]["qty"] = price * tick, lots * lot
    return events


def loops(wrap: Callable[[Any], Any]) -> tuple[Any, Any]:
    """The quoter on its timer and on every event; `wrap` compiles, or leaves things as they are."""

    def act(market: Any, number: int, tick: float, lots: float) -> int:
        market.clear_inactive_orders(0)
        orders = market.orders(0)
        depth = market.depth(0)
        bid, ask = depth.best_bid_tick, depth.best_ask_tick
        if bid <= 0 or ask >= 2**62:
            return number
        held = market.position(0)
        wanted = ask + OFFSET_TICKS if held > 0 else bid - OFFSET_TICKS
        if number in orders:
            off = abs(wanted - orders.get(number).price_tick)
            if off > OFFSET_TICKS and orders.get(number).cancellable:
                market.cancel(0, number, False)
            return number
        number += 1
        if held > 0:
            market.submit_sell_order(0, number, wanted * tick, held, GTX, LIMIT, False)
        else:
            market.submit_buy_order(0, number, wanted * tick, lots, GTX, LIMIT, False)
        return number

    act = wrap(act)

    def timer(market: Any, tick: float, lots: float) -> tuple[int, int]:
        number = calls = 0
        while market.elapse(SECOND_NS) == 0:
            calls += 1
            number = act(market, number, tick, lots)
        return calls, number

    def every(market: Any, tick: float, lots: float) -> tuple[int, int]:
        number = calls = 0
        while market.wait_next_feed(False, FAR_NS) == 2:
            calls += 1
            number = act(market, number, tick, lots)
        return calls, number

    return wrap(timer), wrap(every)


def market_of(events: Any, tick: float, lot: float) -> Any:
    """A market that plays these events."""
    asset = HFT.BacktestAsset().data(events).linear_asset(1.0)
    asset = asset.constant_order_latency(LATENCY_NS, LATENCY_NS).log_prob_queue_model2()
    asset = asset.partial_fill_exchange().trading_value_fee_model(0.001, 0.001).tick_size(tick).lot_size(lot)
    return HFT.HashMapMarketDepthBacktest([asset])


def measure(recording: Any, mode: str) -> dict[str, Any]:
    """Modes: `timer`, `every`; with `-python` behind it nothing of ours is compiled."""
    events = feed(recording)
    tick, lot = float(recording.tick), float(recording.lot)
    name, _, plain = mode.partition("-")
    timer, every = loops((lambda one: one) if plain else NUMBA.njit)
    chosen = timer if name == "timer" else every
    # the first calls compile: ours, or what of its own is called from the interpreter
    chosen(market_of(events[:WARM_EVENTS], tick, lot), tick, QUOTE_LOTS * lot)
    market = market_of(events, tick, lot)
    clock = rows.Clock()
    calls, orders = chosen(market, tick, QUOTE_LOTS * lot)
    spent = clock.stop()
    return {**spent, "rows": recording.events, "strategy_calls": int(calls), "orders": int(orders),
            "trades": int(market.state_values(0).num_trades)}  # fmt: skip


if __name__ == "__main__":
    rows.main(measure)
