"""Who holds what: positions and profit per strategy, from the fills of its orders.

Together the books hold exactly what the account's ledger holds. A sale closes the seller's own lots first;
what it sells beyond them (an operator who flattens, say) closes the lots of others in order of their names,
and they get the result of it. The fee belongs to whoever's lots were closed first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

import msgspec

from tradewind.venues.market_data import Instrument, Side
from tradewind.venues.protocol import FillEvent

from ..ledger import EXACT, ZERO, Overfill, Position
from ..marks import ProfitAndLoss

Mid = Callable[[str], Decimal | None]
"""The middle of bid and ask of a symbol; None while it is not known."""


class BookState(msgspec.Struct, kw_only=True):
    """The books as plain data."""

    positions: list[tuple[str, Position]]
    fills: list[tuple[str, int]]


class StrategyBooks:
    """A book for every strategy that ever had a fill."""

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self._instruments = instruments
        self._positions: dict[str, dict[str, Position]] = {}
        self.fill_counts: dict[str, int] = {}

    def names(self) -> list[str]:
        """Who has a book, in order."""
        return sorted(self._positions)

    def position(self, strategy: str, symbol: str) -> Position | None:
        """What a strategy holds and made in a symbol; None when it never traded it."""
        own = self._positions.get(strategy)
        return None if own is None else own.get(symbol)

    def positions(self, strategy: str) -> Iterable[Position]:
        """All of one strategy."""
        return self._positions.get(strategy, {}).values()

    def held(self, strategy: str, symbol: str) -> Decimal:
        """Base units that a strategy holds."""
        position = self.position(strategy, symbol)
        return ZERO if position is None else position.held

    def lots(self, strategy: str, symbol: str) -> int:
        """Whole lots that a strategy holds."""
        position = self.position(strategy, symbol)
        return 0 if position is None else int(position.held / self._instruments[symbol].lot)

    def adopt(self, strategy: str, symbol: str, quantity: Decimal, price: Decimal, at_ns: int) -> None:
        """Holdings from before the account was traded here, with what they cost."""
        self._own(strategy, symbol).buy(quantity, price, at_ns)

    def on_fill(self, strategy: str, event: FillEvent) -> None:
        """One execution that the ledger has booked. Raises `Overfill` when more is sold than all books hold;
        then nothing has changed.
        """
        instrument = self._instruments[event.symbol]
        quantity = EXACT.multiply(instrument.lot, Decimal(event.lots))
        price = EXACT.multiply(instrument.tick, Decimal(event.price_ticks))
        own = self._own(strategy, event.symbol)
        payer = own
        if event.side is Side.BUY:
            own.buy(quantity, price, event.venue_ts_ns)
            own.bought += quantity
        else:
            sellers = self._sellers(own, event.symbol, quantity)
            payer = sellers[0]
            left = quantity
            for one in sellers:
                before, left = left, one.sell(left, price)
                one.sold += before - left
        payer.fees[event.fee_asset] = payer.fees.get(event.fee_asset, ZERO) + event.fee
        own.volume_quote += quantity * price
        own.fill_count += 1
        self.fill_counts[strategy] = self.fill_counts.get(strategy, 0) + 1

    def _sellers(self, own: Position, symbol: str, quantity: Decimal) -> list[Position]:
        """Whose lots a sale closes, in order."""
        others = [
            positions[symbol]
            for _, positions in sorted(self._positions.items())
            if symbol in positions and positions[symbol] is not own
        ]
        chosen: list[Position] = []
        left = quantity
        for position in (own, *others):
            if left <= 0:
                break
            if position.held:
                chosen.append(position)
                left -= position.held
        if left > 0:
            raise Overfill(f"sold {left} {symbol} more than all strategies hold")
        return chosen

    def profit_and_loss(self, strategy: str, mid: Mid) -> ProfitAndLoss:
        """Of one strategy, in the account currency; `unrealised` is None while a mark is missing."""
        realised, fees = ZERO, ZERO
        unrealised: Decimal | None = ZERO
        for position in self.positions(strategy):
            realised += position.realised
            fees += position.fees.get(position.quote, ZERO)
            if position.held and unrealised is not None:
                price = mid(position.symbol)
                unrealised = None if price is None else unrealised + position.unrealised(price)
        return ProfitAndLoss(realised=realised, unrealised=unrealised, fees=fees)

    def net(self, strategy: str, mid: Mid) -> Decimal:
        """Net profit; what is realised while a mark is missing."""
        result = self.profit_and_loss(strategy, mid)
        return result.realised - result.fees + (result.unrealised or ZERO)

    def take(self) -> BookState:
        """Everything, as plain data (for a checkpoint)."""
        return BookState(
            positions=[
                (name, position) for name, own in self._positions.items() for position in own.values()
            ],
            fills=list(self.fill_counts.items()),
        )

    def load(self, data: bytes) -> None:
        """Become what a checkpoint says."""
        state = msgspec.json.decode(data, type=BookState)
        self._positions = {}
        for name, position in state.positions:
            self._positions.setdefault(name, {})[position.symbol] = position
        self.fill_counts = dict(state.fills)

    def _own(self, strategy: str, symbol: str) -> Position:
        own = self._positions.setdefault(strategy, {})
        if symbol not in own:
            instrument = self._instruments[symbol]
            own[symbol] = Position(symbol, instrument.base, instrument.quote)
        return own[symbol]
