"""The log as tables, for operators and reports: SQLite embedded, PostgreSQL in production.

`applied_seq` is stored in the same transaction as the rows, so a crash between two transactions repeats
nothing and loses nothing, and the tables can be dropped and rebuilt at any time (operations O2.7).
SQLAlchemy is imported only here and in `migrations`, which makes the tables.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from tradewind.core import event_types as types
from tradewind.core import journal, native
from tradewind.core.enums import CancelReason, MarketStatus, Side
from tradewind.core.errors import TradewindError
from tradewind.core.events import Event, decode_events
from tradewind.node.projections import migrations
from tradewind.node.projections.base import ProjectionGap

BATCHES_PER_TRANSACTION = 256
PROJECTION = "exchange"
_MARKET_FEES = ("taker_fee_e6bp", "maker_fee_e6bp")
_SUMS = ("filled_lots", "filled_notional", "fees")
"""Columns of an order to which each trade adds."""
_BIG = sa.BigInteger()

metadata = sa.MetaData()
applied = sa.Table(
    "tw_applied",
    metadata,
    sa.Column("projection", sa.String(32), primary_key=True),
    sa.Column("applied_seq", _BIG, nullable=False),
    sa.Column("applied_time_ns", _BIG, nullable=False),
)
assets = sa.Table(
    "tw_assets",
    metadata,
    sa.Column("asset", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("symbol", sa.String(16), nullable=False),
)
accounts = sa.Table(
    "tw_accounts",
    metadata,
    sa.Column("account", _BIG, primary_key=True, autoincrement=False),
    sa.Column("account_id", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("owner_key", sa.LargeBinary(32), nullable=False),
    sa.Column("opened_ns", _BIG, nullable=False),
)
markets = sa.Table(
    "tw_markets",
    metadata,
    sa.Column("market", _BIG, primary_key=True, autoincrement=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("base", sa.Integer, nullable=False),
    sa.Column("quote", sa.Integer, nullable=False),
    sa.Column("tick_size", _BIG, nullable=False),
    sa.Column("lot_size", _BIG, nullable=False),
    sa.Column("taker_fee_e6bp", _BIG, nullable=False),
    sa.Column("maker_fee_e6bp", _BIG, nullable=False),
    sa.Column("config_version", _BIG, nullable=False),
)
balances = sa.Table(
    "tw_balances",
    metadata,
    sa.Column("owner", _BIG, primary_key=True, autoincrement=False),
    sa.Column("sub", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("asset", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("line", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("amount", _BIG, nullable=False),
)
orders = sa.Table(
    "tw_orders",
    metadata,
    sa.Column("order_id", _BIG, primary_key=True, autoincrement=False),
    sa.Column("market", _BIG, nullable=False, index=True),
    sa.Column("account", _BIG, nullable=False, index=True),
    sa.Column("sub", sa.Integer, nullable=False),
    sa.Column("client_key", sa.LargeBinary(16), nullable=False),
    sa.Column("side", sa.String(4), nullable=False),
    sa.Column("price", _BIG, nullable=False),
    sa.Column("total_lots", _BIG, nullable=False),
    sa.Column("remaining_lots", _BIG, nullable=False),
    sa.Column("filled_lots", _BIG, nullable=False),
    sa.Column("filled_notional", _BIG, nullable=False),
    sa.Column("fees", _BIG, nullable=False),
    sa.Column("is_open", sa.Boolean, nullable=False, index=True),
    sa.Column("reason", sa.String(16), nullable=True),
    sa.Column("accepted_seq", _BIG, nullable=False),
    sa.Column("accepted_ns", _BIG, nullable=False),
    sa.Column("updated_ns", _BIG, nullable=False),
)
trades = sa.Table(
    "tw_trades",
    metadata,
    sa.Column("seq", _BIG, primary_key=True, autoincrement=False),
    sa.Column("event_index", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("time_ns", _BIG, nullable=False, index=True),
    sa.Column("market", _BIG, nullable=False, index=True),
    sa.Column("price", _BIG, nullable=False),
    sa.Column("lots", _BIG, nullable=False),
    sa.Column("notional", _BIG, nullable=False),
    sa.Column("taker_side", sa.String(4), nullable=False),
    sa.Column("taker_order", _BIG, nullable=False),
    sa.Column("maker_order", _BIG, nullable=False),
    sa.Column("taker_account", _BIG, nullable=False),
    sa.Column("maker_account", _BIG, nullable=False),
    sa.Column("taker_fee", _BIG, nullable=False),
    sa.Column("maker_fee", _BIG, nullable=False),
)


class UnsupportedDatabase(TradewindError):
    """The projection knows SQLite and PostgreSQL."""

    name = "UNSUPPORTED_DATABASE"
    http_status = 422


class _Changes:
    """The rows that a run of batches changes, gathered before anything is written."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[tuple[int, ...], dict[str, Any]]] = defaultdict(dict)
        self.amounts: defaultdict[tuple[int, int, int, int], int] = defaultdict(int)
        self.trades: list[dict[str, Any]] = []
        self.orders: dict[int, dict[str, Any]] = {}
        self.market_status: dict[int, str] = {}

    def add(self, event: Event) -> None:
        for posting in getattr(event, "postings", ()):
            self.amounts[posting.owner, posting.sub, posting.asset, posting.line] += posting.amount
        match event:
            case types.OrderAccepted() | types.OrderReplaced() | types.OrderRested():
                self._order(event)
            case types.Trade():
                self._trade(event)
            case types.SetFilled():
                self._set_filled(event)
            case types.OrderCancelled():
                row = self._change(event.order, event.time_ns)
                row.update(remaining_lots=event.remaining_lots, is_open=False)
                row["reason"] = CancelReason(event.reason).name.lower()
            case types.SelfTradePrevented():
                self._prevent(event.order, event.taker_remaining, event)
                self._prevent(event.maker_order, event.maker_remaining, event)
            case types.AssetRegistered():
                self.rows["assets"][event.asset,] = {"asset": event.asset, "symbol": event.symbol}
            case types.AccountOpened():
                self.rows["accounts"][event.account,] = {
                    "account": event.account,
                    "account_id": event.account_id,
                    "owner_key": event.owner_key,
                    "opened_ns": event.time_ns,
                }
            case types.MarketCreated() | types.MarketUpdated():
                self._market(event)
            case (
                types.MarketActivated()
                | types.MarketClosing()
                | types.MarketClosed()
                | types.MarketResolving()
                | types.MarketResolved()
                | types.MarketSettled()
                | types.MarketPruned()
            ):
                self.market_status[event.market] = MarketStatus(event.status).name

    def _market(self, event: types.MarketCreated | types.MarketUpdated) -> None:
        fields = [
            "market",
            "base",
            "quote",
            "tick_size",
            "lot_size",
            "taker_fee_e6bp",
            "maker_fee_e6bp",
            "config_version",
        ]
        row = {field: getattr(event, field) for field in fields}
        self.rows["markets"][event.market,] = {**row, "status": MarketStatus(event.status).name}

    def _change(self, order: int, time_ns: int) -> dict[str, Any]:
        """Pending changes of an order; the filled amounts are added to what is stored."""
        row = self.orders.setdefault(order, {"filled_lots": 0, "filled_notional": 0, "fees": 0})
        row["updated_ns"] = time_ns
        return row

    def _order(self, event: types.OrderAccepted | types.OrderReplaced | types.OrderRested) -> None:
        row = self._change(event.order, event.time_ns)
        row.update(price=event.price, total_lots=event.total_lots, is_open=True)
        row["remaining_lots"] = event.remaining_lots
        row.pop("prevented_lots", None)
        if isinstance(event, types.OrderAccepted):
            row.update(
                market=event.market,
                account=event.account,
                sub=event.sub,
                client_key=event.client_key,
                side=Side(event.side).name,
                reason=None,
                accepted_seq=event.seq,
                accepted_ns=event.time_ns,
            )

    def _shrink(self, order: int, remaining: int, time_ns: int) -> dict[str, Any]:
        row = self._change(order, time_ns)
        row.update(remaining_lots=remaining, is_open=remaining > 0)
        return row

    def _prevent(self, order: int, remaining: int, event: types.SelfTradePrevented) -> None:
        """Prevented lots leave the total: the pending one, or the stored one when none is pending."""
        row = self._shrink(order, remaining, event.time_ns)
        if "total_lots" in row:
            row["total_lots"] -= event.lots
        else:
            row["prevented_lots"] = row.get("prevented_lots", 0) + event.lots
        if remaining == 0:
            row["reason"] = CancelReason.SELF_TRADE.name.lower()

    def _trade(self, event: types.Trade) -> None:
        for order, remaining, fee in (
            (event.order, event.taker_remaining, event.taker_fee),
            (event.maker_order, event.maker_remaining, event.maker_fee),
        ):
            row = self._shrink(order, remaining, event.time_ns)
            row["filled_lots"] += event.lots
            row["filled_notional"] += event.notional
            row["fees"] += fee
        fields = "seq event_index time_ns market price lots notional maker_order maker_account taker_fee"
        row = {field: getattr(event, field) for field in (*fields.split(), "maker_fee")}
        row.update(taker_order=event.order, taker_account=event.account)
        row["taker_side"] = Side(event.taker_side).name
        self.trades.append(row)

    def _set_filled(self, event: types.SetFilled) -> None:
        """A row for each order of a set; that of the taker names its own order as both."""
        row = self._shrink(event.order, event.remaining, event.time_ns)
        row["filled_lots"] += event.lots
        row["filled_notional"] += event.value
        row["fees"] += event.fee
        fields = "seq event_index time_ns market price lots taker_order taker_account"
        trade = {field: getattr(event, field) for field in fields.split()}
        takes = event.order == event.taker_order
        trade.update(
            notional=event.value,
            maker_order=event.order,
            maker_account=event.account,
            taker_fee=event.fee if takes else 0,
            maker_fee=0 if takes else event.fee,
            taker_side=Side(event.side).name,
        )
        self.trades.append(trade)


class SqlProjection:
    """The tables of one exchange in one database."""

    def __init__(self, url: str) -> None:
        """Connects and brings the tables to the schema of this build.

        Raises:
            UnsupportedDatabase: neither SQLite nor PostgreSQL. SchemaUnknown: tables of another build.
            sqlalchemy.exc.SQLAlchemyError: no connection.
        """
        self.engine = sa.create_engine(url)
        if self.engine.dialect.name not in ("sqlite", "postgresql"):
            name = self.engine.dialect.name
            raise UnsupportedDatabase(f"{name} is not supported: use SQLite or PostgreSQL")
        migrations.upgrade(self.engine)

    def applied_seq(self) -> int:
        """Last sequence whose effects are in the tables."""
        with self.engine.connect() as connection:
            return self._applied_seq(connection)

    def drop(self) -> None:
        """Removes every table of the projection and makes empty ones."""
        migrations.reset(self.engine)

    def rebuild(self, path: Path, progress: Callable[[int], object] | None = None) -> int:
        """Applies what the journal holds beyond `applied_seq`; returns the new `applied_seq`.

        Raises:
            JournalCorrupt: damage. ProjectionGap: the tables belong to another log.
        """
        start = self.applied_seq()
        waiting: list[native.Batch] = []
        for batch in journal.batches(path, start + 1 if start else 0):
            waiting.append(batch)
            if len(waiting) == BATCHES_PER_TRANSACTION:
                self.apply(waiting)
                waiting.clear()
                if progress is not None:
                    progress(batch.last_seq)
        self.apply(waiting)
        return self.applied_seq()

    def apply(self, batches: Iterable[native.Batch]) -> None:
        """Applies batches in one transaction; those that are applied already are ignored.

        Raises:
            ProjectionGap: commands are missing; nothing was written.
        """
        with self.engine.begin() as connection:
            seq, time_ns, changes = self._applied_seq(connection), 0, _Changes()
            before = seq
            for batch in batches:
                if batch.last_seq <= seq:
                    continue
                if batch.first_seq != seq + 1:
                    raise ProjectionGap(f"batch {batch.first_seq} does not follow sequence {seq}")
                for event in decode_events(batch):
                    changes.add(event)
                seq, time_ns = batch.last_seq, batch.time_ns
            if seq > before:
                self._write(connection, changes)
                row = {"projection": PROJECTION, "applied_seq": seq, "applied_time_ns": time_ns}
                self._upsert(connection, applied, [row])

    def _applied_seq(self, connection: Connection) -> int:
        query = sa.select(applied.c.applied_seq).where(applied.c.projection == PROJECTION)
        return int(connection.execute(query).scalar() or 0)

    def _write(self, connection: Connection, changes: _Changes) -> None:
        for table in (assets, accounts, markets):
            self._upsert(connection, table, list(changes.rows[table.name.removeprefix("tw_")].values()))
        for market, status in changes.market_status.items():
            connection.execute(markets.update().where(markets.c.market == market).values(status=status))
        amounts = [
            {"owner": owner, "sub": sub, "asset": asset, "line": line, "amount": amount}
            for (owner, sub, asset, line), amount in changes.amounts.items()
            if amount
        ]
        self._upsert(connection, balances, amounts, add=("amount",))
        fresh = {order: row for order, row in changes.orders.items() if "accepted_seq" in row}
        self._upsert(connection, orders, [{"order_id": order, **row} for order, row in fresh.items()])
        for order, row in changes.orders.items():
            if order not in fresh:
                sums = {name: orders.c[name] + row[name] for name in _SUMS}
                if prevented := row.pop("prevented_lots", 0):
                    sums["total_lots"] = orders.c.total_lots - prevented
                connection.execute(orders.update().where(orders.c.order_id == order).values({**row, **sums}))
        self._upsert(connection, trades, changes.trades)

    def _upsert(
        self, connection: Connection, table: sa.Table, rows: list[dict[str, Any]], add: tuple[str, ...] = ()
    ) -> None:
        """Inserts rows or replaces their values; columns in `add` are summed with what is stored."""
        if not rows:
            return
        make = postgresql.insert if self.engine.dialect.name == "postgresql" else sqlite.insert
        statement = make(table)
        keys = [column.name for column in table.primary_key]
        changed = {
            name: table.c[name] + statement.excluded[name] if name in add else statement.excluded[name]
            for name in rows[0]
            if name not in keys
        }
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), rows)
