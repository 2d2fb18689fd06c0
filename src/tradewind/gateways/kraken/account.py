"""Kraken's private REST calls that read: balances, orders, trades, ledgers, fees."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Final

import msgspec

from tradewind.gateways.keys import ApiKey
from tradewind.gateways.kraken import errors, ids
from tradewind.gateways.kraken.desk import Desk
from tradewind.gateways.kraken.errors import KrakenError, invalid
from tradewind.gateways.kraken.numbers import SECOND_NS, at_least, parse_decimal, rounded, seconds
from tradewind.gateways.kraken.parameters import Fields
from tradewind.gateways.kraken.requests import MAX_USERREF, client_id
from tradewind.gateways.kraken.rows import Row, fill_row, order_row
from tradewind.gateways.kraken.symbols import ASSET_DECIMALS
from tradewind.gateways.kraken.tokens import LIFETIME_S
from tradewind.gateways.kraken.worth import Worth
from tradewind.gateways.model import Fill, Order
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import OrderPhase

PAGE: Final = 50
MAX_ROWS: Final = 10_000
"""Orders or fills that one listing looks at, newest first."""
MAX_QUERY_ORDERS: Final = 50
MAX_QUERY_TRADES: Final = 20
MAX_OFFSET: Final = 1_000_000
VOLUME_DAYS: Final = 30
DAY_NS: Final = 86_400 * SECOND_NS
TRADE_TYPES: Final = frozenset({"all", "any position", "closed position", "closing position", "no position"})
POSITION_TYPES: Final = TRADE_TYPES - {"all", "no position"}
LEDGER_TYPES: Final = frozenset([
    "all", "trade", "deposit", "withdrawal", "transfer", "margin", "adjustment", "rollover",
    "credit", "settled", "staking", "dividend", "sale", "nft_rebate", "spend", "receive",
    "custodytransfer",
])  # fmt: skip

Handler = Callable[[ApiKey, Fields, bool], Any]


def as_accepted(order: Order) -> Order:
    """An order as it was right behind its acceptance: what a stale read would show."""
    return msgspec.structs.replace(
        order,
        phase=OrderPhase.WORKING,
        filled_lots=0,
        cost=Decimal(0),
        fee=Decimal(0),
        updated_ns=order.created_ns,
        trade_ids=(),
        reason="",
    )


class AccountCalls:
    """Handlers by method name: (key, fields, stale) -> `result`. They raise `KrakenError`."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._exchange = desk, desk.exchange
        self._worth = Worth(desk.exchange)
        self.handlers: dict[str, Handler] = {
            "Balance": self._balance,
            "BalanceEx": self._balance_ex,
            "TradeBalance": self._trade_balance,
            "OpenOrders": self._open_orders,
            "ClosedOrders": self._closed_orders,
            "QueryOrders": self._query_orders,
            "TradesHistory": self._trades_history,
            "QueryTrades": self._query_trades,
            "Ledgers": self._ledgers,
            "TradeVolume": self._trade_volume,
            "OpenPositions": self._open_positions,
            "GetWebSocketsToken": self._token,
        }

    # ---- funds -----------------------------------------------------------------------------------------

    def _balance(self, key: ApiKey, fields: Fields, stale: bool) -> Row:
        return {
            self._desk.asset(one.asset).code: at_least(one.free + one.held, ASSET_DECIMALS)
            for one in self._exchange.funds(key.account)
        }

    def _balance_ex(self, key: ApiKey, fields: Fields, stale: bool) -> Row:
        return {
            self._desk.asset(one.asset).code: {
                "balance": at_least(one.free + one.held, ASSET_DECIMALS),
                "hold_trade": at_least(one.held, ASSET_DECIMALS),
            }
            for one in self._exchange.funds(key.account)
        }

    def _trade_balance(self, key: ApiKey, fields: Fields, stale: bool) -> Row:
        """Worth of everything in one asset. Assets without any price are left out, as at the venue."""
        asset = self._desk.find_asset(fields.text("asset", "ZUSD") or "ZUSD").canonical
        total = Decimal(0)
        for one in self._exchange.funds(key.account):
            worth = self._worth.of(one.free + one.held, one.asset, asset)
            total += worth or 0
        text = rounded(total, 4)
        return {
            "eb": text,
            "tb": text,
            "m": "0.0000",
            "uv": "0.0000",
            "n": "0.0000",
            "c": "0.0000",
            "v": "0.0000",
            "e": text,
            "mf": text,
        }

    # ---- orders ----------------------------------------------------------------------------------------

    def _order_rows(self, account: str, orders: Iterable[Order], trades: bool, stale: bool) -> Row:
        rows = {}
        for order in orders:
            fills = self._exchange.fills(account, order_id=order.order_id, limit=MAX_ROWS) if trades else ()
            trade_ids = [ids.trade_id(fill.fill_id) for fill in fills] if trades else None
            shown = as_accepted(order) if stale else order
            rows[ids.order_id(order.order_id)] = order_row(self._desk.pair(order.symbol), shown, trade_ids)
        return rows

    @staticmethod
    def _named(fields: Fields) -> Callable[[Order], bool]:
        """Which orders a client's number or id leaves."""
        name = client_id(fields.text("cl_ord_id"))
        tag = fields.whole("userref", 0, -MAX_USERREF - 1, MAX_USERREF) if fields.text("userref") else None
        return lambda order: (not name or order.client_id == name) and (tag is None or order.tag == tag)

    def _open_orders(self, key: ApiKey, fields: Fields, stale: bool) -> Row:
        named = self._named(fields)
        orders = [
            one for one in self._exchange.orders(key.account, working=True, limit=MAX_ROWS) if named(one)
        ]
        return {"open": self._order_rows(key.account, orders, fields.flag("trades"), stale)}

    def _closed_orders(self, key: ApiKey, fields: Fields, stale: bool) -> Row:
        named, clock = self._named(fields), fields.text("closetime", "both") or "both"
        if clock not in ("open", "close", "both"):
            raise invalid("closetime")
        start, end = self._bound(key.account, fields, "start"), self._bound(key.account, fields, "end")

        def wanted(order: Order) -> bool:
            times = {"open": (order.created_ns,), "close": (order.updated_ns,)}.get(
                clock, (order.created_ns, order.updated_ns)
            )
            return any(
                (start is None or at > start) and (end is None or at <= end) for at in times
            ) and named(order)

        found = [
            one for one in self._exchange.orders(key.account, working=False, limit=MAX_ROWS) if wanted(one)
        ]
        offset = fields.whole("ofs", 0, 0, MAX_OFFSET)
        rows = self._order_rows(key.account, found[offset : offset + PAGE], fields.flag("trades"), stale)
        return {"closed": rows} if fields.flag("without_count") else {"closed": rows, "count": len(found)}

    def _bound(self, account: str, fields: Fields, name: str) -> int | None:
        """A bound in ns: seconds since 1970, or the time of an order or trade. Raises `KrakenError`."""
        text = fields.text(name)
        if not text or text == "0":
            return None
        value = parse_decimal(text)
        if value is not None:
            return int(value * SECOND_NS)
        number = ids.order_number(text)
        order = None if number is None else self._exchange.order(account, order_id=number)
        if order is not None:
            return order.created_ns
        trade = ids.trade_number(text)
        if trade is not None:
            fill = self._desk.fill(account, trade)
            if fill is not None:
                return fill.time_ns
        raise invalid(name)

    def _query_orders(self, key: ApiKey, fields: Fields, stale: bool) -> Row:
        named = self._named(fields)
        orders = []
        for txid in fields.words("txid", MAX_QUERY_ORDERS):
            order = self._exchange.order(key.account, order_id=self._desk.order_number(txid))
            if order is None:
                raise KrakenError(errors.UNKNOWN_ORDER)
            orders.append(order)
        if not orders:
            name = client_id(fields.text("cl_ord_id"))
            order = self._exchange.order(key.account, client_id=name) if name else None
            if not name and not fields.text("userref"):
                raise invalid("txid")
            if name and order is None:
                raise KrakenError(errors.UNKNOWN_ORDER)
            orders = [order] if order is not None else self._with_tag(key.account, named)
        kept = [order for order in orders if named(order)]
        return self._order_rows(key.account, kept, fields.flag("trades"), stale)

    def _with_tag(self, account: str, named: Callable[[Order], bool]) -> list[Order]:
        both = [self._exchange.orders(account, working=working, limit=MAX_ROWS) for working in (True, False)]
        return [one for orders in both for one in orders if named(one)][:MAX_QUERY_ORDERS]

    # ---- trades and ledgers ----------------------------------------------------------------------------

    def _fills(self, key: ApiKey, fields: Fields) -> list[Fill]:
        """Fills between two bounds, newest first."""
        start, end = self._bound(key.account, fields, "start"), self._bound(key.account, fields, "end")
        fills = self._exchange.fills(key.account, until_ns=end or 0, limit=MAX_ROWS)
        return [one for one in reversed(fills) if start is None or one.time_ns > start]

    def _fill_rows(self, account: str, fills: Iterable[Fill], ledgers: bool) -> Row:
        return {
            ids.trade_id(fill.fill_id): fill_row(
                self._desk.pair(fill.symbol), fill, self._desk.kind_of(account, fill.order_id), ledgers
            )
            for fill in fills
        }

    def _trades_history(self, key: ApiKey, fields: Fields, stale: bool) -> Row:
        kind = fields.text("type", "all") or "all"
        if kind not in TRADE_TYPES:
            raise invalid("type")
        found = [] if kind in POSITION_TYPES else self._fills(key, fields)
        offset = fields.whole("ofs", 0, 0, MAX_OFFSET)
        rows = self._fill_rows(key.account, found[offset : offset + PAGE], fields.flag("ledgers"))
        return {"trades": rows} if fields.flag("without_count") else {"trades": rows, "count": len(found)}

    def _query_trades(self, key: ApiKey, fields: Fields, stale: bool) -> Row:
        words = fields.words("txid", MAX_QUERY_TRADES)
        if not words:
            raise invalid("txid")
        found = []
        for txid in words:
            number = ids.trade_number(txid)
            fill = None if number is None else self._desk.fill(key.account, number)
            if fill is None:
                raise KrakenError(errors.UNKNOWN_TRADE)
            found.append(fill)
        return self._fill_rows(key.account, found, ledgers=False)

    def _ledgers(self, key: ApiKey, fields: Fields, stale: bool) -> Row:
        """Two entries a trade. `balance` counts back from the present total over the trades that are kept."""
        kind = fields.text("type", "all") or "all"
        if kind not in LEDGER_TYPES:
            raise invalid("type")
        asked = fields.text("asset", "all") or "all"
        assets = (
            None if asked == "all" else {self._desk.find_asset(one).canonical for one in asked.split(",")}
        )
        total = {one.asset: one.free + one.held for one in self._exchange.funds(key.account)}
        start, end = self._bound(key.account, fields, "start"), self._bound(key.account, fields, "end")
        entries: list[tuple[str, Row]] = []
        for fill in reversed(self._exchange.fills(key.account, limit=MAX_ROWS)):
            pair = self._desk.pair(fill.symbol)
            base, quote = fill.symbol.split("/")
            sign = 1 if fill.side is Side.BUY else -1
            for in_quote, asset, amount, fee in (
                (True, quote, -sign * fill.cost, fill.fee if fill.fee_asset == quote else Decimal(0)),
                (
                    False,
                    base,
                    sign * pair.lot * fill.lots,
                    fill.fee if fill.fee_asset == base else Decimal(0),
                ),
            ):
                after = total[asset]
                total[asset] = after - amount + fee
                if assets is not None and asset not in assets:
                    continue
                if (start is not None and fill.time_ns <= start) or (end is not None and fill.time_ns > end):
                    continue
                entries.append(
                    (
                        ids.ledger_id(fill.fill_id, in_quote),
                        {
                            "aclass": "currency",
                            "amount": at_least(amount, ASSET_DECIMALS),
                            "asset": self._desk.asset(asset).code,
                            "balance": at_least(after, ASSET_DECIMALS),
                            "fee": at_least(fee, ASSET_DECIMALS),
                            "refid": ids.trade_id(fill.fill_id),
                            "time": seconds(fill.time_ns, 7),
                            "type": "trade",
                            "subtype": "tradespot",
                        },
                    )
                )
        found = entries if kind in ("all", "trade") else []
        offset = fields.whole("ofs", 0, 0, MAX_OFFSET)
        rows = dict(found[offset : offset + PAGE])
        return {"ledger": rows} if fields.flag("without_count") else {"ledger": rows, "count": len(found)}

    # ---- the rest --------------------------------------------------------------------------------------

    def _trade_volume(self, key: ApiKey, fields: Fields, stale: bool) -> Row:
        since_ns = self._desk.now_ns() - VOLUME_DAYS * DAY_NS
        volume = Decimal(0)
        for fill in self._exchange.fills(key.account, since_ns=since_ns, limit=MAX_ROWS):
            volume += self._worth.of(fill.cost, fill.symbol.partition("/")[2], "USD") or 0
        answer: Row = {"currency": "ZUSD", "volume": rounded(volume, 4)}
        words = fields.words("pair", 256)
        if words:
            makers, takers = {}, {}
            for name in words:
                names, _ = self._desk.find_pair(name)
                maker, taker = self._exchange.fees(key.account, names.canonical)
                answer_key = self._desk.names.key(name, names)
                makers[answer_key], takers[answer_key] = _fee_row(maker), _fee_row(taker)
            answer |= {"fees": takers, "fees_maker": makers}
        return answer

    def _open_positions(self, key: ApiKey, fields: Fields, stale: bool) -> Row:
        return {}

    def _token(self, key: ApiKey, fields: Fields, stale: bool) -> Row:
        return {"token": self._desk.tokens.issue(key.key, self._desk.now_ns()), "expires": LIFETIME_S}


def _fee_row(bps: Decimal) -> Row:
    percent = at_least(bps / 100, 4)
    return {
        "fee": percent,
        "minfee": percent,
        "maxfee": percent,
        "nextfee": None,
        "nextvolume": None,
        "tiervolume": "0.0000",
    }
