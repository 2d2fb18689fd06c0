"""Every message of Polymarket that we know, by name, and which one a frame is."""

from __future__ import annotations

from typing import Any, Final

from tradewind.venues.polymarket import whole_catalogue as catalogued
from tradewind.venues.polymarket import whole_exchange as exchange
from tradewind.venues.polymarket.messages import SIDES
from tradewind.venues.shapes import Catalogue, Shape, catalogue

SIDE: Final = frozenset(SIDES)
ORDER_STATUS: Final = frozenset(
    {"LIVE", "MATCHED", "CANCELED", "CANCELED_MARKET_RESOLVED", "DELAYED", "UNMATCHED", "INVALID"}
)
TRADE_STATUS: Final = frozenset({"MATCHED", "MINED", "CONFIRMED", "RETRYING", "FAILED"})
ORDER_TYPES: Final = frozenset({"GTC", "GTD", "FOK", "FAK"})
ORDER_EVENTS: Final = frozenset({"PLACEMENT", "UPDATE", "CANCELLATION"})
TRADER_SIDES: Final = frozenset({"TAKER", "MAKER"})
ANSWERS: Final = frozenset({"", "live", "matched", "delayed", "unmatched"})
ORDER_WORDS: Final = {"status": ORDER_STATUS, "side": SIDE, "order_type": ORDER_TYPES}
TRADE_WORDS: Final = {
    "status": TRADE_STATUS, "side": SIDE, "trader_side": TRADER_SIDES, "maker_orders[].side": SIDE,
}  # fmt: skip


def _rest(name: str, kind: Any, words: dict[str, frozenset[str]] | None = None) -> Shape:
    return Shape(name=f"polymarket rest {name}", type=kind, words=words or {})


def _service(name: str, kind: Any, words: dict[str, frozenset[str]] | None = None) -> Shape:
    """Of the catalogue (gamma) and of the data service."""
    return Shape(name=f"polymarket {name}", type=kind, words=words or {})


def _page(words: dict[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    return {f"[].{path}": known for path, known in words.items()}


def _stream(name: str, kind: Any, words: dict[str, frozenset[str]] | None = None) -> Shape:
    return Shape(name=f"polymarket stream {name}", type=kind, words=words or {})


SHAPES: Final[Catalogue] = catalogue(
    "polymarket",
    [
        _rest("book", exchange.Book),
        _rest("market", exchange.MarketRow),
        _rest("fee-rate", exchange.FeeRate),
        _rest("balance-allowance", exchange.BalanceAnswer),
        _rest("order answer", exchange.OrderAnswer, {"status": ANSWERS}),
        _rest("signed order", exchange.SignedOrder, {"side": SIDE}),
        _rest("cancel answer", exchange.CancelAnswer),
        _rest("open order", exchange.OpenOrder, ORDER_WORDS),
        _rest("trade", exchange.Trade, TRADE_WORDS),
        _service("gamma events", list[catalogued.GammaEvent]),
        _service("gamma market", catalogued.GammaMarket),
        _service("gamma tags", list[catalogued.GammaTag]),
        _service("data positions", list[catalogued.PositionRow]),
        _service("data trades", list[catalogued.PublicTradeRow], _page({"side": SIDE})),
        _stream("book", exchange.Book),
        _stream("books", list[exchange.Book]),
        _stream("price_change", exchange.PriceChanges, {"price_changes[].side": SIDE}),
        _stream("last_trade_price", exchange.LastTrade, {"side": SIDE}),
        _stream("tick_size_change", exchange.TickSizeChange),
        _stream("best_bid_ask", exchange.BestPrices),
        _stream("market_resolved", exchange.MarketResolved),
        _stream("order", exchange.OrderEvent, ORDER_WORDS | {"type": ORDER_EVENTS}),
        _stream("trade", exchange.Trade, TRADE_WORDS),
        _stream("crypto_prices", exchange.OutsidePriceUpdate),
    ],
)


def name_of(document: Any) -> str | None:
    """The shape of a frame of a channel; None when it is none that we know. REST answers do not say it."""
    if isinstance(document, list):
        first = document[0] if document else None
        return "polymarket stream books" if isinstance(first, dict) and "bids" in first else None
    if not isinstance(document, dict):
        return None
    kind = document.get("event_type") or document.get("topic")
    if kind is None:
        kind = {"TRADE": "trade"}.get(str(document.get("type")), "order" if "type" in document else None)
    found = f"polymarket stream {kind}"
    return found if found in SHAPES.shapes else None
