"""The gateway of perpetual markets: paths and sockets of Binance USD-M in front of an exchange."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from tradewind.gateways.exchange import Exchange
from tradewind.gateways.server import Gateway, Route, SocketRoute

from . import market, usdm_account, usdm_batches, usdm_market, usdm_orders
from .calls import Call, Handler, Security, Venue, Weight, call_of
from .dispatch import Dispatcher
from .gateway import BinanceGateway
from .streams import StreamOptions, Streams
from .topics import Topic
from .usdm_batches import Countdowns
from .usdm_events import ListenKeys, UsdmWatch, user_topic
from .usdm_market import make_usdm_topic
from .usdm_symbols import UsdmSymbols
from .user_events import Watches
from .windows import Limit, Usage

NOTES: Final = "binance-usdm-notes.jsonl"
LIMITS: Final = (
    Limit(kind="REQUEST_WEIGHT", interval="MINUTE", interval_num=1, limit=2_400),
    Limit(kind="ORDERS", interval="MINUTE", interval_num=1, limit=1_200),
    Limit(kind="ORDERS", interval="SECOND", interval_num=10, limit=300),
)
READ, TRADE, CANCEL, STREAM = Security.READ, Security.TRADE, Security.CANCEL, Security.STREAM


def calls(watches: Watches, keys: ListenKeys, timers: Countdowns) -> dict[tuple[str, str], Call]:
    """Every call, by method and path."""
    rows_of, every = usdm_market.rows_of, usdm_market.all_weight
    public: dict[str, tuple[Handler, int | Weight]] = {
        "ping": (market.ping, 1),
        "time": (market.server_time, 1),
        "exchangeInfo": (usdm_market.exchange_info, 1),
        "depth": (usdm_market.depth, usdm_market.depth_weight),
        "trades": (usdm_market.trades, 5),
        "aggTrades": (usdm_market.agg_trades, 20),
        "klines": (usdm_market.klines, 5),
        "premiumIndex": (rows_of(usdm_market.premium_row), every(1, 10)),
        "ticker/24hr": (rows_of(usdm_market.day_row), every(1, 40)),
        "ticker/price": (rows_of(usdm_market.price_row), every(1, 2)),
        "ticker/bookTicker": (rows_of(usdm_market.book_row), every(2, 5)),
        "openInterest": (usdm_market.open_interest, 1),
    }
    account, orders = usdm_account, usdm_orders
    signed: dict[tuple[str, str], tuple[Handler, int | Weight, Security, int]] = {
        ("POST", "v1/order"): (orders.place_order, 0, TRADE, 1),
        ("POST", "v1/order/test"): (orders.test_order, 1, TRADE, 0),
        ("PUT", "v1/order"): (orders.modify_order, 1, TRADE, 1),
        ("GET", "v1/order"): (orders.query_order, 1, READ, 0),
        ("DELETE", "v1/order"): (orders.cancel_order, 1, CANCEL, 0),
        ("GET", "v1/openOrder"): (orders.query_open_order, 1, READ, 0),
        ("GET", "v1/openOrders"): (orders.open_orders, orders.open_orders_weight, READ, 0),
        ("DELETE", "v1/allOpenOrders"): (orders.cancel_all, 1, CANCEL, 0),
        ("POST", "v1/batchOrders"): (usdm_batches.place_batch, 5, TRADE, usdm_batches.MAX_PLACED),
        ("DELETE", "v1/batchOrders"): (usdm_batches.cancel_batch, 1, CANCEL, 0),
        ("POST", "v1/countdownCancelAll"): (timers.call, 10, TRADE, 0),
        ("GET", "v1/allOrders"): (orders.all_orders, 5, READ, 0),
        ("GET", "v1/userTrades"): (orders.user_trades, 5, READ, 0),
        ("GET", "v2/account"): (account.account, 5, READ, 0),
        ("GET", "v3/account"): (account.account, 5, READ, 0),
        ("GET", "v2/balance"): (account.balance, 5, READ, 0),
        ("GET", "v3/balance"): (account.balance, 5, READ, 0),
        ("GET", "v2/positionRisk"): (account.position_risk, 5, READ, 0),
        ("GET", "v3/positionRisk"): (account.position_risk_held, 5, READ, 0),
        ("POST", "v1/leverage"): (account.set_leverage(watches), 1, TRADE, 0),
        ("POST", "v1/marginType"): (account.set_margin_type, 1, TRADE, 0),
        ("GET", "v1/positionSide/dual"): (account.position_mode, 30, READ, 0),
        ("POST", "v1/positionSide/dual"): (account.set_position_mode, 1, TRADE, 0),
        ("GET", "v1/multiAssetsMargin"): (account.assets_mode, 30, READ, 0),
        ("GET", "v1/symbolConfig"): (account.symbol_config, 5, READ, 0),
        ("GET", "v1/leverageBracket"): (account.leverage_brackets, 1, READ, 0),
        ("GET", "v1/commissionRate"): (account.commission_rate, 20, READ, 0),
        ("POST", "v1/listenKey"): (keys.create, 1, STREAM, 0),
        ("PUT", "v1/listenKey"): (keys.keep, 1, STREAM, 0),
        ("DELETE", "v1/listenKey"): (keys.end, 1, STREAM, 0),
    }
    found = {
        ("GET", f"/fapi/v1/{path}"): call_of(f"fapi/{path}", handler, weight)
        for path, (handler, weight) in public.items()
    }
    for (method, path), (handler, weight, security, count) in signed.items():
        found[(method, f"/fapi/{path}")] = call_of(f"fapi/{path}", handler, weight, security, count)
    return found


class UsdmGateway(BinanceGateway):
    """Binance USD-M: one-way positions with crossed margin in the settlement asset of the exchange."""

    venue: ClassVar[str] = "binance-usdm"

    def __init__(
        self,
        exchange: Exchange,
        *,
        limits: tuple[Limit, ...] = LIMITS,
        options: StreamOptions | None = None,
    ) -> None:
        """Raises `ValueError` for an exchange without perpetual markets."""
        if exchange.configuration.settlement is None:
            raise ValueError("the exchange has no perpetual market")
        super().__init__(exchange, limits=limits, options=options)

    def prepare(self, usage: Usage, options: StreamOptions) -> None:
        self.state = Venue(self.exchange, usage, symbols=UsdmSymbols(self.exchange.markets), notes=NOTES)
        watches = Watches(self.state, UsdmWatch)
        self.dispatcher = Dispatcher(self.state, watches)
        self.listen_keys = ListenKeys(watches)
        self.countdowns = Countdowns(self.exchange)
        self.streams = Streams(self.state, options, self._topic)
        self.socket_api = None

    def _topic(self, name: str, venue: Venue, scale: float) -> Topic | None:
        return user_topic(name, self.listen_keys, venue) or make_usdm_topic(name, venue, scale)

    def routes(self) -> Sequence[Route]:
        found = calls(self.dispatcher.watches, self.listen_keys, self.countdowns)
        return [Route(method, path, self._handler(call)) for (method, path), call in found.items()]

    async def closing(self) -> None:
        self.countdowns.close()
        await super().closing()

    def socket_routes(self) -> Sequence[SocketRoute]:
        """The venue's addresses by kind of stream, and the one it had before: each carries all streams."""
        routes = super().socket_routes()
        return [
            SocketRoute(part + route.path, route.handler)
            for part in ("", "/public", "/market", "/private")
            for route in routes
        ]


def build(exchange: Exchange, **options: Any) -> Gateway:
    """A gateway that is not started yet."""
    return UsdmGateway(exchange, **options)
