"""Private channels of WebSocket v2: `executions` and `balances` of one account on one connection."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

import msgspec

from tradewind.gateways.kraken import ids
from tradewind.gateways.kraken.board import data_frame
from tradewind.gateways.kraken.desk import Desk
from tradewind.gateways.kraken.numbers import at_least, number, rfc3339
from tradewind.gateways.kraken.rows import Row, end_reason, socket_fill, socket_order
from tradewind.gateways.kraken.symbols import ASSET_DECIMALS
from tradewind.gateways.model import AccountEvent, Fill, Funds, FundsChanged, Order, OrderChanged

TRADES_SHOWN: Final = 50
MAX_ORDERS_SHOWN: Final = 10_000
CAUSES: Final = {
    "deposit": ("deposit", "deposit"),
    "withdrawal": ("withdrawal", "withdrawal"),
    "transfer": ("transfer", "transfer"),
}
"""Cause -> (type, category) of a balance update that is not a trade."""

ENDS: Final = {
    "new": "new",
    "filled": "filled",
    "cancelled": "canceled",
    "rejected": "canceled",
    "expired": "expired",
}
"""What happened -> the message that is sent to everybody, whatever it subscribed."""

Send = Callable[[str, bytes], None]


class ExecutionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a subscription of `executions` asked for."""

    snap_orders: bool = True
    snap_trades: bool = False
    order_status: bool = True
    """Every transition; without it only new, filled, canceled and expired, beside the trades."""
    ratecounter: bool = False


class Executions:
    """One subscription. Its own `sequence` counts its messages from 1."""

    def __init__(self, desk: Desk, account: str, options: ExecutionOptions, send: Send) -> None:
        self._desk, self._account, self._options, self._send = desk, account, options, send
        self._sequence = 0
        self._subscription = desk.exchange.listen_account(account, self._on_event)

    def close(self) -> None:
        """Hears nothing more."""
        self._subscription.close()

    def _tell(self, kind: str, rows: list[Row]) -> None:
        self._sequence += 1
        self._send("executions", data_frame("executions", kind, rows, sequence=self._sequence))

    def snapshot(self) -> None:
        """Open orders, and the last trades when they were asked for; an empty one is sent as well."""
        exchange, rows = self._desk.exchange, []
        if self._options.snap_trades:
            for fill in exchange.fills(self._account, limit=TRADES_SHOWN):
                order = exchange.order(self._account, order_id=fill.order_id)
                if order is not None:
                    rows.append(self._fill_row(order, fill, ENDS.get(str(order.phase), "partially_filled")))
        if self._options.snap_orders:
            for order in reversed(exchange.orders(self._account, working=True, limit=MAX_ORDERS_SHOWN)):
                status = "partially_filled" if order.filled_lots else "new"
                rows.append(
                    self._row(order, exec_type=status if status == "new" else "status", order_status=status)
                )
        self._tell("snapshot", rows)

    def _row(self, order: Order, **more: object) -> Row:
        row = socket_order(self._desk.pair(order.symbol), order) | more
        if self._options.ratecounter:
            points = self._desk.limits.points(self._account, order.symbol, self._desk.now_ns())
            row["ratecount"] = number(f"{points:.2f}")
        return row

    def _fill_row(self, order: Order, fill: Fill, status: str) -> Row:
        row = self._row(order, exec_type="trade", order_status=status)
        return row | socket_fill(self._desk.pair(order.symbol), fill)

    def _on_event(self, event: AccountEvent) -> None:
        if isinstance(event, OrderChanged):
            for row in self._rows(event):
                self._tell("update", [row])

    def _rows(self, event: OrderChanged) -> list[Row]:
        """Messages of one event: an order is announced before it is new, and ends behind its last trade."""
        order, rows = event.order, []
        if event.what == "new" and self._options.order_status:
            rows.append(self._row(order, exec_type="pending_new", order_status="pending_new"))
        if event.fill is not None:
            rows.append(self._fill_row(order, event.fill, "partially_filled"))
        if event.what in ENDS:
            kind = ENDS[event.what]
            row = self._row(order, exec_type=kind, order_status=kind)
            if event.what in ("cancelled", "rejected"):
                row["reason"] = row["cancel_reason"] = end_reason(order)
            elif event.what == "expired":
                row["reason"] = end_reason(order)
            rows.append(row)
        elif event.what == "triggered" and self._options.order_status:
            row = self._row(order, exec_type="status", order_status="triggered")
            row["triggers"] = row.get("triggers", {}) | {"status": "triggered"}
            rows.append(row)
        elif event.what == "amended" and self._options.order_status:
            rows.append(self._row(order, exec_type="amended", amended=True))
        return rows


class Balances:
    """One subscription of `balances`. Totals only: what orders hold does not change them."""

    def __init__(self, desk: Desk, account: str, send: Send) -> None:
        self._desk, self._account, self._send = desk, account, send
        self._sequence = 0
        self._fill: Fill | None = None
        self._totals = {one.asset: one.free + one.held for one in desk.exchange.funds(account)}
        self._subscription = desk.exchange.listen_account(account, self._on_event)

    def close(self) -> None:
        """Hears nothing more."""
        self._subscription.close()

    def _tell(self, kind: str, rows: list[Row]) -> None:
        self._sequence += 1
        self._send("balances", data_frame("balances", kind, rows, sequence=self._sequence))

    def snapshot(self) -> None:
        """Every asset."""
        rows: list[Row] = []
        for asset, total in self._totals.items():
            amount = money(total)
            wallet = {"type": "spot", "id": "main", "balance": amount}
            rows.append({"asset": asset, "asset_class": "currency", "balance": amount, "wallets": [wallet]})
        self._tell("snapshot", rows)

    def _on_event(self, event: AccountEvent) -> None:
        if isinstance(event, OrderChanged):
            self._fill = event.fill or self._fill
            return
        rows = [row for one in event.funds if (row := self._row(event, one)) is not None]
        if rows:
            self._tell("update", rows)

    def _row(self, event: FundsChanged, funds: Funds) -> Row | None:
        total = funds.free + funds.held
        change = total - self._totals.get(funds.asset, Decimal(0))
        if not change:
            return None
        self._totals[funds.asset] = total
        fill = self._fill if event.cause in ("trade", "fee") else None
        fee = fill.fee if fill is not None and fill.fee_asset == funds.asset else Decimal(0)
        kind, category = CAUSES.get(
            event.cause, ("trade", "trade") if fill is not None else ("adjustment", "adjustment")
        )
        row: Row = {
            "asset": funds.asset,
            "asset_class": "currency",
            "amount": money(change + fee),
            "balance": money(total),
            "fee": money(fee),
            "ledger_id": ids.encode("LS", event.sequence << 8 | list(self._totals).index(funds.asset) & 0xFF),
            "type": kind,
            "category": category,
            "wallet_type": "spot",
            "wallet_id": "main",
            "timestamp": rfc3339(event.time_ns),
        }
        if fill is not None:
            row["subtype"] = "tradespot"
            row["ref_id"] = ids.trade_id(fill.fill_id)
            in_quote = funds.asset == fill.symbol.partition("/")[2]
            row["ledger_id"] = ids.ledger_id(fill.fill_id, in_quote)
        return row


def money(value: Decimal) -> msgspec.Raw:
    """An amount as a JSON number."""
    return number(at_least(value, ASSET_DECIMALS))
