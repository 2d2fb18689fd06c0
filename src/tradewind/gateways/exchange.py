"""The one thing behind every gateway: an exchange on the engine, with its accounts, markets and journal.

    exchange = await Exchange.open(Path("data"), ExchangeConfiguration())
    wish = PlaceRequest(symbol="BTC/USD", side=Side.BUY, price_ticks=600_000, lots=100)
    order = await exchange.place("demo", wish)

Everything that a client was told survives a restart: orders, their names and kinds, executions, numbers of
trades and of changes of the book are functions of the journal.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from tradewind.core.native import JournalReader
from tradewind.node.service import NodeService
from tradewind.venues.protocol import VenueState

from .exchange_notes import leverage_note
from .exchange_orders import ExchangeOrders
from .exchange_prices import WARM_UP_NS, LeapClock, Prices
from .exchange_reads import UnknownName, bps
from .exchange_records import GatewayViews
from .exchange_setup import MAX_OPEN_ORDERS, ExchangeConfiguration, Listed, Parties, is_perpetual, set_up
from .exchange_streams import Streams, Subscription
from .faults import FaultPlan
from .keys import KeyStore, new_key
from .model import (
    AccountEvent,
    BookChange,
    MarginSummary,
    Market,
    PerpetualPrices,
    Position,
    PositionMoved,
    PublicTrade,
    Refusal,
    Refused,
)

__all__ = ["Exchange", "ExchangeConfiguration", "Subscription"]

KEY_FILE: Final = "keys.json"


class Exchange(ExchangeOrders):
    """Made by `open`; its methods belong to the loop that opened it."""

    def __init__(
        self,
        *,
        node: NodeService,
        views: GatewayViews,
        listed: Listed,
        configuration: ExchangeConfiguration,
        parties: Parties,
        keys: KeyStore,
    ) -> None:
        self.node = node
        self.views = views
        self.listed = listed
        self.configuration = configuration
        self.parties = parties
        self.keys = keys
        self.faults = FaultPlan()
        self.house_prices: Prices | None = None
        """Who publishes the prices of perpetual markets; None without such markets."""
        self.markets: dict[str, Market] = {}
        self._modes: dict[str | None, VenueState] = {}
        self._streams = Streams(views)
        self._prepare()
        self._refresh_markets()
        views.on_state = self._refresh_markets

    @classmethod
    async def open(
        cls,
        data: Path,
        configuration: ExchangeConfiguration | None = None,
        *,
        key_file: Path | None = None,
        clock: Callable[[], int] | None = None,
    ) -> Exchange:
        """Creates the exchange in `data`, or reopens it; keys lie in `key_file` (default: `data/keys.json`).
        An account without a key gets one.

        Raises:
            JournalLocked: another process has it open. SetupRefused: the engine refused a step.
            JournalCorrupt, ReplayMismatch, InvariantBroken: the log cannot be trusted.
            KeyFileError: the key file is damaged, or others may read it.
        """
        configuration = configuration or ExchangeConfiguration()
        leap = LeapClock(clock) if configuration.perpetuals else None
        parties = Parties(configuration.key_seed)
        keys = await asyncio.to_thread(_keys_of, data, key_file or data / KEY_FILE)
        begin_ns = (clock or time.time_ns)() - (WARM_UP_NS if leap is not None else 0)
        if leap is not None:
            leap.leap_ns = begin_ns
        node = await NodeService.start(
            data,
            genesis=parties.genesis(begin_ns),
            limits=configuration.limits,
            clock=leap or clock,
            segment_bytes=16 << 20,
            reserve_bytes=0,
        )
        try:
            views = GatewayViews(configuration, parties)
            await asyncio.to_thread(_replay, node, views)
            await node.attach(views.apply, name="gateway", from_seq=views.applied_seq + 1)
            if leap is not None and not node.open_report["created"]:
                leap.leap_ns = None if node.now_ns() >= leap.real_ns() else node.now_ns()
            listed = await set_up(node, configuration, parties, views)
            prices = None if leap is None else Prices(node, views, listed, parties)
            if leap is not None and prices is not None:
                await prices.catch_up(leap)
            for account in configuration.accounts:
                if not keys.of_account(account):
                    keys.add(new_key(account))
        except BaseException:
            await node.close()
            raise
        found = cls(
            node=node, views=views, listed=listed, configuration=configuration, parties=parties, keys=keys
        )
        if prices is not None:
            found.house_prices = prices
            if configuration.publishes_prices:
                prices.start()
        return found

    async def close(self) -> None:
        """Writes what waits and gives the directory free. May be called twice."""
        if self.house_prices is not None:
            await self.house_prices.close()
        await self.node.close()

    async def __aenter__(self) -> Exchange:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # ---- what is accepted --------------------------------------------------------------------------

    def set_mode(self, state: VenueState, symbol: str | None = None) -> None:
        """What is accepted from now on, beside what the engine accepts; None: in every market. Not durable.

        Raises:
            UnknownName: no such market.
        """
        if symbol is not None:
            self._handle(symbol)
        self._modes[symbol] = state
        self._refresh_markets()

    @property
    def mode(self) -> VenueState:
        """What the whole exchange accepts."""
        return self._modes.get(None, VenueState.ONLINE)

    def _refresh_markets(self) -> None:
        for symbol, market in self.listed.markets.items():
            parameters = self.views.markets.by_handle[market.handle]
            states = (self.engine_state(symbol), self._modes.get(symbol), self._modes.get(None))
            state = max((one for one in states if one is not None), key=_STRICTNESS.index)
            self.markets[symbol] = Market(
                symbol=symbol,
                handle=market.handle,
                instrument=msgspec.structs.replace(market.instrument, status=str(state)),
                state=state,
                maker_bps=bps(parameters.maker_fee_e6bp),
                taker_bps=bps(parameters.taker_fee_e6bp),
                max_open_orders=MAX_OPEN_ORDERS,
                perpetual=is_perpetual(market),
            )

    # ---- perpetual markets -------------------------------------------------------------------------

    def positions(self, account: str, symbol: str | None = None) -> list[Position]:
        """Positions with lots; of one market also the one without.

        Raises:
            UnknownName: no such account or perpetual market.
        """
        history = self._history(account)
        if symbol is None:
            return self.views.positions.positions(history)
        return [self.views.positions.position(history, self._perpetual(symbol))]

    def margin(self, account: str) -> MarginSummary:
        """All margin of an account. Raises `UnknownName`, also without perpetual markets."""
        settlement = self.configuration.settlement
        if settlement is None:
            raise UnknownName("this exchange has no perpetual markets")
        return self.views.positions.summary(self._history(account), self.listed.assets[settlement])

    def perpetual_prices(self, symbol: str) -> PerpetualPrices:
        """Mark, index and funding. Raises `UnknownName`."""
        return self.views.positions.prices(symbol, self._perpetual(symbol), self.now_ns())

    def leverage(self, account: str, symbol: str) -> Decimal:
        """What the account chose for its next orders; 0: the most that is allowed. Raises `UnknownName`."""
        self._history(account)
        self._perpetual(symbol)
        return Decimal(self.views.positions.chosen.get((account, symbol), 0)) / 100

    async def set_leverage(self, account: str, symbol: str, leverage: Decimal) -> Refused | None:
        """For the account's next orders in a market; it holds across restarts. Between 1 and what the market
        allows, in steps of 0.01; the engine takes it with the next order.

        Raises:
            UnknownName: no such account or perpetual market. NodeStopped: nobody knows whether it is kept.
        """
        self._history(account)
        most = self.views.leverage.markets[self._perpetual(symbol)].max_leverage_e2
        hundredths = leverage * 100
        if hundredths != int(hundredths) or not 100 <= hundredths <= most:
            text = f"leverage {leverage} is no step of 0.01 from 1 to {Decimal(most) / 100}"
            return Refused(Refusal.POSITION_LIMIT, text)
        stream, kind, payload = leverage_note(account, symbol, int(hundredths))
        await self.node.record(stream, kind, payload)
        return None

    def _perpetual(self, symbol: str) -> int:
        handle = self._handle(symbol)
        if handle not in self.views.leverage.markets:
            raise UnknownName(symbol)
        return handle

    def listen_positions(self, account: str, on_move: Callable[[PositionMoved], None]) -> Subscription:
        """As `listen_account`, for positions. Raises `UnknownName`, `QueueFull`."""
        self._history(account)
        return self._streams.listen_positions(account, on_move)

    # ---- streams -----------------------------------------------------------------------------------

    def listen_market(
        self,
        symbol: str,
        on_book: Callable[[BookChange], None] | None,
        on_trade: Callable[[PublicTrade], None] | None,
    ) -> Subscription:
        """Calls back on the loop, in order, exactly once, after durability. Callbacks must not block; one
        that raises is closed. `update_id` of the first change follows that of `book()` at the same moment.

        Raises:
            UnknownName: no such market. QueueFull: too many listeners.
        """
        self._handle(symbol)
        return self._streams.listen_market(symbol, on_book, on_trade)

    def listen_account(self, account: str, on_event: Callable[[AccountEvent], None]) -> Subscription:
        """As `listen_market`, for orders, executions and funds of an account. Events of a command come before
        its answer.

        Raises:
            UnknownName: no such account. QueueFull: too many listeners.
        """
        self._history(account)
        return self._streams.listen_account(account, on_event)


def _replay(node: NodeService, views: GatewayViews) -> None:
    """Feeds the views what the journal held when the node opened: one reader, no hop for each block."""
    head = node.head()
    reader = JournalReader(node.journal_path, 0)
    reader.set_upper_block(head["blocks"] if "blocks" in head else head["durable_blocks"])
    while (batch := reader.next()) is not None:
        views.apply(batch)


def _keys_of(data: Path, path: Path) -> KeyStore:
    data.mkdir(parents=True, exist_ok=True)
    return KeyStore(path)


_STRICTNESS: Final = (
    VenueState.ONLINE,
    VenueState.LIMIT_ONLY,
    VenueState.POST_ONLY,
    VenueState.REDUCE_ONLY,
    VenueState.CANCEL_ONLY,
    VenueState.UNKNOWN,
    VenueState.MAINTENANCE,
    VenueState.DELISTED,
)
"""Of several states the last one holds."""
