"""The account as the private channels tell it: orders, fills and balances, each event once and in order.

`Mirror` holds what is known and hands out the events of the protocol. It hears of a thing from several
sides (answers, `executions`, reconciliation); what it knows already makes no event.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from decimal import Decimal

from tradewind.venues.kraken.directory import Directory, tradable
from tradewind.venues.kraken.private_messages import BalanceRow, Execution
from tradewind.venues.kraken.rows import MAX_REASON_CHARS, SOCKET_PHASES, side_of
from tradewind.venues.kraken.timestamps import rfc3339_ns
from tradewind.venues.market_data import FeedError, Instrument, Side
from tradewind.venues.protocol import (
    FINAL_PHASES,
    BalanceEvent,
    FundsEvent,
    OrderPhase,
    OrderState,
    PrivateEvent,
)
from tradewind.venues.transport.account_mirror import (
    AccountMirror,
    TradeFact,
    Unmapped,
    lots_of,
    ticks_of,
    working_phase,
)

MAX_LEDGER_IDS = 10_000
FUNDS_TYPES = frozenset({"deposit", "withdrawal", "transfer", "credit", "reward", "staking", "dividend"})
SPOT_WALLET = "spot"
EXECUTED = "trade"
KNOWN_EXEC_TYPES = frozenset(
    {
        "pending_new", "new", EXECUTED, "filled", "iceberg_refill", "canceled", "expired", "amended",
        "restated", "status",
    }
)  # fmt: skip


class Mirror(AccountMirror):
    """The account as Kraken tells it. What orders hold of a balance is our own reckoning."""

    def __init__(self, venue: str, account: str, emit: Callable[[PrivateEvent], None]) -> None:
        super().__init__(venue, account, emit)
        self.directory = Directory()
        self.totals: dict[str, Decimal] = {}
        self.post_only: set[str] = set()
        """Venue ids of working orders that must never take, also when they are amended."""
        self._ledger_ids: OrderedDict[str, None] = OrderedDict()

    # ---- looking -----------------------------------------------------------------------------------------

    def held(self, asset: str) -> Decimal:
        """What working orders hold of an asset: the rest of sells, and the rest of buys at their limit."""
        total = Decimal(0)
        for order in self.working.values():
            instrument = self.directory.instruments.get(order.symbol)
            if instrument is None:
                continue
            rest = instrument.lot * (order.lots - order.filled_lots)
            if order.side is Side.SELL and instrument.base == asset:
                total += rest
            elif order.side is Side.BUY and instrument.quote == asset:
                total += rest * instrument.tick * order.price_ticks
        return total

    # ---- hearing -----------------------------------------------------------------------------------------

    def acknowledged(self, state: OrderState) -> None:
        """The venue answered a submit of ours. `executions` may have told more already; it wins."""
        if self.get(state.venue_id) is None:
            self.apply(state)

    def fill_key(self, fact: TradeFact) -> Hashable:
        """Executions have ids of their own."""
        return fact.trade_id

    def remember_fills(self, trade_ids: Iterable[str]) -> None:
        """Executions that happened before we came: known, and not told."""
        self._fills.update(dict.fromkeys(trade_ids))

    def knows_fill(self, trade_id: str) -> bool:
        """Whether an execution was told already."""
        return trade_id in self._fills

    def fact_of(self, row: Execution) -> TradeFact:
        """The execution of a row of the past. Raises `Unmapped`, `DecodeError`."""
        if row.symbol is None or row.side is None:
            raise Unmapped(f"execution of {row.order_id[:40]} lacks its pair or side")
        return _fact(row, self._instrument(row, None), None, rfc3339_ns(row.timestamp))

    def execution(self, row: Execution) -> str | None:
        """One row of `executions`. Returns the venue's id of an order that has to be asked for, because the
        row says too little about an order that we do not know. Raises `Unmapped`.
        """
        self._note_words(row)
        known = self.get(row.order_id)
        if known is None and (row.symbol is None or row.side is None or row.order_qty is None):
            return row.order_id
        instrument = self._instrument(row, known)
        phase = SOCKET_PHASES.get(row.order_status)
        if phase is None:
            raise Unmapped(f"order {row.order_id[:40]}: status {row.order_status[:40]!r}")
        time_ns = rfc3339_ns(row.timestamp)
        lots = known.lots if row.order_qty is None and known is not None else None
        lots = lots_of(instrument, row.order_qty) if row.order_qty is not None else lots
        price = known.price_ticks if known is not None else 0
        if row.limit_price is not None:
            price = ticks_of(instrument, row.limit_price)
        before = known.filled_lots if known is not None else 0
        filled = lots_of(instrument, row.cum_qty) if row.cum_qty is not None else before
        assert lots is not None
        if row.post_only and phase not in FINAL_PHASES:
            self.post_only.add(row.order_id)
        fact = None
        if row.exec_type == EXECUTED:
            fact = _fact(row, instrument, known, time_ns)
            if row.cum_qty is None and not self.knows_fill(fact.trade_id):
                filled = before + fact.lots
        side = known.side if row.side is None and known is not None else side_of(row.side or "")
        state = OrderState(
            client_id=row.cl_ord_id or (known.client_id if known is not None else ""),
            venue_id=row.order_id,
            symbol=instrument.symbol,
            side=side,
            phase=working_phase(_closing(phase, row.exec_type), filled),
            price_ticks=price,
            lots=lots,
            filled_lots=max(filled, before),
            reason=(row.cancel_reason or row.reason or "")[:MAX_REASON_CHARS],
            updated_ns=time_ns,
        )
        if fact is not None:
            # the fill is the event; the order's new state is told with the next event of the order
            if self.fill(fact, state.client_id, lots - state.filled_lots) and (
                known is None or known.phase not in FINAL_PHASES
            ):
                self.put(state)
            return None
        self.apply(state)
        return None

    def balance(self, row: BalanceRow) -> None:
        """One row of `balances`. Raises `Unmapped` for an asset that is not in Assets."""
        if not tradable(row.asset) or row.wallet_type not in {None, SPOT_WALLET}:
            return
        try:
            asset = self.directory.asset_of(row.asset)
        except FeedError as error:
            raise Unmapped(str(error)) from error
        if row.ledger_id is not None:
            if row.ledger_id in self._ledger_ids:
                return
            self._ledger_ids[row.ledger_id] = None
            if len(self._ledger_ids) > MAX_LEDGER_IDS:
                self._ledger_ids.popitem(last=False)
        if not all(one.is_finite() for one in (row.balance, row.fee, row.amount or row.fee)):
            raise Unmapped(f"{asset}: balance {row.balance}, amount {row.amount}, fee {row.fee}")
        total = row.balance
        if row.wallets is not None:
            total = sum((one.balance for one in row.wallets if one.type == SPOT_WALLET), Decimal(0))
            if not total.is_finite():
                raise Unmapped(f"{asset}: a wallet has {total}")
        at_ns = rfc3339_ns(row.timestamp) if row.timestamp is not None else 0
        if row.type in FUNDS_TYPES and row.amount is not None:
            self.tell(
                FundsEvent(
                    asset=asset,
                    amount=row.amount - row.fee,
                    reference=row.ref_id or row.ledger_id or "",
                    sequence=self.next(at_ns),
                    venue_ts_ns=at_ns,
                )
            )
        self.total(asset, total, at_ns)

    def total(self, asset: str, total: Decimal, at_ns: int) -> None:
        """The whole balance of an asset. What working orders hold of it is our own reckoning."""
        self.totals[asset] = total
        held = min(self.held(asset), max(total, Decimal(0)))
        self.tell(
            BalanceEvent(
                asset=asset, free=total - held, held=held, sequence=self.next(at_ns), venue_ts_ns=at_ns
            )
        )

    # ---- parts -------------------------------------------------------------------------------------------

    def _instrument(self, row: Execution, known: OrderState | None) -> Instrument:
        try:
            symbol = self.directory.symbol_of(row.symbol) if row.symbol is not None else None
        except FeedError as error:
            raise Unmapped(str(error)) from error
        return self.directory.instruments[symbol if symbol is not None else known.symbol if known else ""]

    def put(self, state: OrderState) -> None:
        """Remember an order without telling it."""
        super().put(state)
        if state.phase in FINAL_PHASES:
            self.post_only.discard(state.venue_id)

    def _note_words(self, row: Execution) -> None:
        if row.exec_type not in KNOWN_EXEC_TYPES:
            self.note_word("exec_type", row.exec_type)


def _closing(phase: OrderPhase, exec_type: str) -> OrderPhase:
    """A `trade` never closes an order: what closes it is an event of its own (T6.5)."""
    if exec_type == EXECUTED and phase is OrderPhase.FILLED:
        return OrderPhase.PARTIALLY_FILLED
    return phase


def _fact(row: Execution, instrument: Instrument, known: OrderState | None, time_ns: int) -> TradeFact:
    if row.exec_id is None or row.last_qty is None or row.last_price is None or row.liquidity_ind is None:
        raise Unmapped(f"execution of {row.order_id[:40]} lacks its id, size, price or liquidity")
    fees = row.fees or []
    assets = {one.asset for one in fees}
    if len(assets) > 1:
        raise Unmapped(f"execution {row.exec_id[:40]} has fees in {len(assets)} assets")
    return TradeFact(
        trade_id=row.exec_id,
        order_id=row.order_id,
        symbol=instrument.symbol,
        side=side_of(row.side) if row.side is not None or known is None else known.side,  # type: ignore[arg-type]
        price_ticks=ticks_of(instrument, row.last_price),
        lots=lots_of(instrument, row.last_qty),
        fee=sum((one.qty for one in fees), Decimal(0)),
        fee_asset=assets.pop() if assets else instrument.quote,
        maker=row.liquidity_ind == "m",
        time_ns=time_ns,
    )
