"""ECharts options of the price and depth charts. Display only: this is where decimal text becomes floats."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tradewind.observe.view import Candle, Level, PlatformView

from . import text

Options = dict[str, Any]

GAIN = "#14b8a6"
LOSS = "#f4596f"
ACCENT = "#38bdf8"
MUTED = "#8391a7"
GRID = "rgba(131,145,167,0.16)"
SHOWN_CANDLES = 120
"""Candles in sight at once."""
FONT = "Roboto, system-ui, sans-serif"


def _axis_style() -> Options:
    return {
        "axisLine": {"lineStyle": {"color": GRID}},
        "axisTick": {"show": False},
        "axisLabel": {"color": MUTED, "fontSize": 11, "fontFamily": FONT, "hideOverlap": True},
        "splitLine": {"lineStyle": {"color": GRID}},
    }


def _tooltip() -> Options:
    return {
        "trigger": "axis",
        "axisPointer": {"type": "cross", "label": {"backgroundColor": "#1e293b", "fontSize": 11}},
        "backgroundColor": "rgba(15,23,42,0.94)",
        "borderWidth": 0,
        "textStyle": {"color": "#e2e8f0", "fontSize": 12},
        "confine": True,
    }


def price_frame() -> Options:
    """The price chart without data: candles, volume below, own fills as triangles."""
    style = _axis_style()
    return {
        "animation": False,
        "grid": [
            {"left": 8, "right": 72, "top": 14, "bottom": 86},
            {"left": 8, "right": 72, "height": 44, "bottom": 26},
        ],
        "tooltip": _tooltip(),
        "axisPointer": {"link": [{"xAxisIndex": "all"}]},
        "xAxis": [
            {"type": "category", "data": [], "gridIndex": 0, **style, "axisLabel": {"show": False}},
            {"type": "category", "data": [], "gridIndex": 1, **style, "splitLine": {"show": False}},
        ],
        "yAxis": [
            {"scale": True, "position": "right", "gridIndex": 0, **style},
            {"scale": True, "position": "right", "gridIndex": 1, **style, "axisLabel": {"show": False},
             "splitLine": {"show": False}, "min": 0},
        ],
        "series": [
            {"id": "price", "name": "Price", "type": "candlestick", "data": [], "barMaxWidth": 14,
             "xAxisIndex": 0, "yAxisIndex": 0,
             "itemStyle": {"color": GAIN, "borderColor": GAIN, "color0": LOSS, "borderColor0": LOSS},
             "markLine": {"symbol": "none", "silent": True, "data": []}},
            {"id": "volume", "name": "Volume", "type": "bar", "data": [], "barMaxWidth": 14,
             "xAxisIndex": 1, "yAxisIndex": 1,
             "itemStyle": {"color": "rgba(56,189,248,0.35)"}},
            {"id": "bought", "name": "Our buys", "type": "scatter", "data": [], "symbol": "triangle",
             "symbolSize": 11,
             "z": 5, "itemStyle": {"color": "#2dd4bf", "borderColor": "#06281f", "borderWidth": 1}},
            {"id": "sold", "name": "Our sells", "type": "scatter", "data": [], "symbol": "triangle",
             "symbolRotate": 180,
             "symbolSize": 11, "z": 5,
             "itemStyle": {"color": "#fb7185", "borderColor": "#3b0a14", "borderWidth": 1}},
        ],
    }  # fmt: skip


def label(start_s: int, interval_s: int) -> str:
    """UTC label of a candle."""
    moment = datetime.fromtimestamp(start_s, UTC)
    return moment.strftime("%H:%M:%S" if interval_s < 60 else "%d %b %H:%M")


def price_data(view: PlatformView, interval_s: int) -> Options:
    """The changing part of the price chart, for ECharts' merging `setOption`."""
    candles = (view.candles_1s if interval_s == 1 else view.candles_1m)[-SHOWN_CANDLES:]
    labels = [label(candle.start_s, interval_s) for candle in candles]
    return {
        "xAxis": [{"data": labels}, {"data": labels}],
        "series": [
            {"id": "price", "data": [_candle(one) for one in candles], "markLine": _last_line(view, candles)},
            {"id": "volume", "data": [float(one.volume) for one in candles]},
            {"id": "bought", "data": _marks(view, candles, interval_s, "buy")},
            {"id": "sold", "data": _marks(view, candles, interval_s, "sell")},
        ],
    }


def _candle(one: Candle) -> list[float]:
    return [float(one.open), float(one.close), float(one.low), float(one.high)]


def _last_line(view: PlatformView, candles: tuple[Candle, ...]) -> Options:
    if not candles or view.market.last.value is None:
        return {"data": []}
    rising = float(candles[-1].close) >= float(candles[-1].open)
    return {
        "symbol": "none",
        "silent": True,
        "lineStyle": {"color": ACCENT, "type": "dashed", "width": 1},
        "label": {
            "color": "#fff",
            "backgroundColor": GAIN if rising else LOSS,
            "padding": [3, 5],
            "borderRadius": 3,
            "fontSize": 11,
            "position": "end",
            "formatter": text.fixed(view.market.last.value, text.decimals_of(view.market.tick)),
        },
        "data": [{"yAxis": float(view.market.last.value)}],
    }  # fmt: skip


def _marks(view: PlatformView, candles: tuple[Candle, ...], interval_s: int, side: str) -> list[list[Any]]:
    shown = {candle.start_s for candle in candles}
    marks = []
    for fill in view.fills:
        start_s = fill.time_ns // 1_000_000_000 // interval_s * interval_s
        if fill.side == side and start_s in shown:
            marks.append([label(start_s, interval_s), float(fill.price)])
    return marks


def depth_frame() -> Options:
    """The depth chart without data."""
    style = _axis_style()
    tooltip = _tooltip() | {"axisPointer": {"type": "line"}}
    return {
        "animation": False,
        "grid": {"left": 8, "right": 72, "top": 10, "bottom": 24},
        "tooltip": tooltip,
        "xAxis": {
            "type": "value",
            "scale": True,
            **style,
            "splitLine": {"show": False},
            "axisLabel": {**style["axisLabel"], "showMinLabel": False, "showMaxLabel": False},
        },
        "yAxis": {"type": "value", "position": "right", "splitNumber": 3, **style},
        "series": [_depth_series("bids", "Bids", GAIN, "end"), _depth_series("asks", "Asks", LOSS, "start")],
    }


def _depth_series(series_id: str, name: str, colour: str, step: str) -> Options:
    return {
        "id": series_id,
        "name": name,
        "type": "line",
        "step": step,
        "symbol": "none",
        "lineStyle": {"color": colour, "width": 1.5},
        "itemStyle": {"color": colour},
        "areaStyle": {"color": colour, "opacity": 0.18},
        "data": [],
    }


def _curve(levels: tuple[Level, ...]) -> list[list[float]]:
    return [[float(level.price), float(level.cumulative)] for level in levels]


def depth_data(view: PlatformView) -> Options:
    """Cumulative size over price: bids from the left, asks to the right."""
    prices = [float(level.price) for side in (view.depth.bids, view.depth.asks) for level in side]
    span: Options = {"min": min(prices), "max": max(prices)} if prices else {}
    return {
        "xAxis": span,
        "series": [
            {"id": "bids", "data": list(reversed(_curve(view.depth.bids)))},
            {"id": "asks", "data": _curve(view.depth.asks)},
        ],
    }
