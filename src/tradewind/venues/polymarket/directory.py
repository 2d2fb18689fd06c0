"""Markets of Polymarket as instruments: two of each, one a token, in USDC."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from tradewind.venues.market_data import Instrument
from tradewind.venues.polymarket.messages import LOT, QUOTE, MarketRow
from tradewind.venues.protocol import VenueState

TICKS = frozenset({Decimal("0.1"), Decimal("0.01"), Decimal("0.001"), Decimal("0.0001")})
NOT_WORD = re.compile(r"[^A-Z0-9]+")
MAX_MARKETS = 20_000


class TokenRules(msgspec.Struct, frozen=True, kw_only=True):
    """What an order needs to know of a token beside its instrument."""

    instrument: Instrument
    token_id: str
    condition_id: str
    neg_risk: bool
    state: VenueState
    maker_bps: Decimal
    taker_bps: Decimal

    @property
    def whole_ticks(self) -> int:
        """Price of a share of the winner."""
        return int(1 / self.instrument.tick)


class Directory:
    """Tokens by symbol and by id. A row that cannot be mapped is in `quarantined`, never dropped silently."""

    def __init__(self) -> None:
        self.by_symbol: dict[str, TokenRules] = {}
        self.by_token: dict[str, TokenRules] = {}
        self.quarantined: list[str] = []

    @classmethod
    def of(cls, rows: Iterable[MarketRow], as_of_ns: int) -> Directory:
        """From the pages of /markets."""
        self = cls()
        for row in rows:
            problem = self._add(row, as_of_ns)
            if problem and len(self.quarantined) < 1_000:
                self.quarantined.append(f"{row.condition_id[:70]}: {problem}")
        return self

    def _add(self, row: MarketRow, as_of_ns: int) -> str:
        numbers = (row.minimum_tick_size, row.minimum_order_size, row.maker_base_fee, row.taker_base_fee)
        if not all(one.is_finite() and one >= 0 for one in numbers):
            return f"a number that is none among {', '.join(str(one)[:20] for one in numbers)}"
        if len(row.tokens) != 2 or row.minimum_tick_size not in TICKS:
            return f"{len(row.tokens)} tokens, tick {row.minimum_tick_size}"
        if len(self.by_token) >= 2 * MAX_MARKETS:
            return "too many markets"
        fresh: list[TokenRules] = []
        for token in row.tokens:
            base = NOT_WORD.sub("-", f"{row.market_slug}-{token.outcome}".upper()).strip("-")
            symbol = f"{base}/{QUOTE}"
            if symbol in self.by_symbol or token.token_id in self.by_token or not base:
                return f"{symbol} exists already"
            if any(one.instrument.symbol == symbol for one in fresh):
                return f"{symbol} exists already"
            fresh.append(_rules(row, token.token_id, base, symbol, as_of_ns))
        for one in fresh:
            self.by_symbol[one.instrument.symbol] = one
            self.by_token[one.token_id] = one
        return ""


def _rules(row: MarketRow, token_id: str, base: str, symbol: str, as_of_ns: int) -> TokenRules:
    state = VenueState.ONLINE
    if row.closed or not row.active:
        state = VenueState.DELISTED
    elif not row.accepting_orders:
        state = VenueState.CANCEL_ONLY
    tick = row.minimum_tick_size
    return TokenRules(
        instrument=Instrument(
            venue="polymarket",
            symbol=symbol,
            venue_symbol=token_id,
            base=base,
            quote=QUOTE,
            tick=tick,
            lot=LOT,
            min_quantity=row.minimum_order_size,
            price_decimals=-int(tick.as_tuple().exponent),
            quantity_decimals=2,
            status=str(state),
            source="venue",
            as_of_ns=as_of_ns,
        ),
        token_id=token_id,
        condition_id=row.condition_id,
        neg_risk=row.neg_risk,
        state=state,
        maker_bps=row.maker_base_fee,
        taker_bps=row.taker_base_fee,
    )
