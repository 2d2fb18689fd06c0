"""The account as USD-M's events tell it: orders, executions and positions.

Events name wallets without saying how much of them is free, so a balance is read whenever one may have
changed. Only one-way positions are known: an account in hedge mode is not traded.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from tradewind.venues.binance.account import MAX_MOVES, Mirror
from tradewind.venues.binance.rows import MS, instrument_named, report_fact, reported_state
from tradewind.venues.binance_usdm.private_messages import (
    ONE_WAY,
    AccountUpdate,
    FuturesReport,
    MarginCall,
    PositionRisk,
    PositionRow,
)
from tradewind.venues.market_data import Instrument, Known, Unknown
from tradewind.venues.protocol import FundsEvent, MarginCallEvent, Position, PositionEvent
from tradewind.venues.transport.account_mirror import Unmapped, lots_of

SOURCE = "binance-usdm positionRisk"


class Held(msgspec.Struct, frozen=True):
    """A position as it was last heard of."""

    lots: int
    entry: Decimal | None
    at_ns: int
    """The venue's time of the latest event about it."""
    heard: int
    """How many updates of the account there had been."""


def signed_lots(instrument: Instrument, amount: Decimal) -> int:
    """Whole lots with their sign. Raises `Unmapped`."""
    lots = lots_of(instrument, abs(amount))
    return -lots if amount < 0 else lots


def one_way(side: str) -> None:
    """Raises `Unmapped` for a position of hedge mode."""
    if side != ONE_WAY:
        raise Unmapped(f"position side {side[:40]!r}: hedge mode is not supported")


class UsdmMirror(Mirror):
    """See the module. `positions` has every symbol that was ever told of, also with 0 lots."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.positions: dict[str, Held] = {}
        self.heard = 0
        """Updates of the account so far: a list that was asked for before one of them says less than it."""

    # ---- events ------------------------------------------------------------------------------------------

    def report(self, report: FuturesReport) -> None:
        """`o` of an `ORDER_TRADE_UPDATE`. Raises `Unmapped`."""
        one_way(report.ps)
        state = reported_state(report, self.directory, client_id=report.c)
        fact = report_fact(report, self.directory)
        self.leg(state.venue_id, 0)
        if fact is not None:
            self.fill(fact, state.client_id, state.lots - state.filled_lots)
        self.apply(state)
        self.on_doubtful_balance()

    def update(self, event: AccountUpdate) -> None:
        """An `ACCOUNT_UPDATE`. Raises `Unmapped`."""
        self.heard += 1
        for wallet in event.a.B:
            if wallet.bc:
                self._moved(wallet.a, wallet.bc, event)
        for row in event.a.P:
            self._position(row, event.a.m, event.T * MS)
        self.on_doubtful_balance()

    def called(self, event: MarginCall) -> None:
        """A `MARGIN_CALL`. Raises `Unmapped`."""
        at_ns = event.E * MS
        symbols = tuple(instrument_named(one.s, self.directory).symbol for one in event.p)
        self.tell(MarginCallEvent(symbols=symbols, sequence=self.next(at_ns), venue_ts_ns=at_ns))

    def _moved(self, asset: str, amount: Decimal, event: AccountUpdate) -> None:
        """Funds that came or went otherwise than by profit and fees: transfers, funding, rebates."""
        key = (asset, f"{event.a.m} {amount}", event.T, event.E)
        if key in self._moves:
            return
        self._moves[key] = None
        if len(self._moves) > MAX_MOVES:
            self._moves.popitem(last=False)
        at_ns = event.T * MS
        self.tell(
            FundsEvent(
                asset=asset, amount=amount, reference=f"{event.a.m[:40]}-{asset}-{event.T}-{event.E}",
                sequence=self.next(at_ns), venue_ts_ns=at_ns,
            )
        )  # fmt: skip

    # ---- positions ---------------------------------------------------------------------------------------

    def _position(self, row: PositionRow, reason: str, at_ns: int) -> None:
        if row.ps != ONE_WAY and not row.pa:
            return  # hedge mode's empty sides
        one_way(row.ps)
        instrument = instrument_named(row.s, self.directory)
        lots, known = signed_lots(instrument, row.pa), self.positions.get(instrument.symbol)
        if known is None or at_ns >= known.at_ns:
            held = Held(lots, row.ep if lots else None, at_ns, self.heard)
            self._set(instrument.symbol, held, row.up, reason)

    def _set(self, symbol: str, held: Held, unrealised: Decimal, reason: str) -> None:
        known = self.positions.get(symbol)
        self.positions[symbol] = held
        before = (0, None) if known is None else (known.lots, known.entry)
        if (held.lots, held.entry) == before:
            return
        self.tell(
            PositionEvent(
                symbol=symbol, lots=held.lots, entry_price=held.entry, unrealised=unrealised,
                reason=reason[:40], sequence=self.next(held.at_ns), venue_ts_ns=held.at_ns,
            )
        )  # fmt: skip

    def read(self, row: PositionRisk, as_of_ns: int) -> Position | None:
        """A row of `positionRisk`; None without lots. Raises `Unmapped`."""
        if row.positionSide != ONE_WAY and not row.positionAmt:
            return None
        one_way(row.positionSide)
        instrument = instrument_named(row.symbol, self.directory)
        lots = signed_lots(instrument, row.positionAmt)
        if not lots:
            return None

        def known(value: Decimal | None, what: str) -> Known[Decimal] | Unknown:
            return Unknown(f"the venue names no {what}") if value is None else Known(value, as_of_ns, SOURCE)

        return Position(
            symbol=instrument.symbol,
            lots=lots,
            entry_price=known(row.entryPrice or None, "entry price"),
            mark_price=known(row.markPrice or None, "mark price"),
            unrealised=known(row.unRealizedProfit, "profit"),
            margin=known(row.positionInitialMargin, "margin"),
            maintenance_margin=known(row.maintMargin, "maintenance margin"),
            liquidation_price=known(row.liquidationPrice or None, "liquidation price"),
            margin_asset=row.marginAsset or instrument.quote,
            as_of_ns=as_of_ns,
        )

    def reconcile_positions(self, rows: list[Position], heard: int) -> None:
        """All positions as a list tells them that was asked for behind `heard` updates; one that is not
        among them is closed. What was heard since is newer.
        """
        present = {one.symbol: one for one in rows}
        for symbol in dict.fromkeys([*present, *self.positions]):
            known, one = self.positions.get(symbol), present.get(symbol)
            if known is not None and known.heard > heard:
                continue
            held = Held(0, None, 0 if known is None else known.at_ns, heard)
            profit = Decimal(0)
            if one is not None:
                held = msgspec.structs.replace(held, lots=one.lots, entry=_value(one.entry_price))
                profit = _value(one.unrealised) or profit
            self._set(symbol, held, profit, "reconciliation")


def _value(figure: Known[Decimal] | Unknown) -> Decimal | None:
    return figure.value if isinstance(figure, Known) else None
