"""`UsdmVenue`: Binance USD-M perpetuals behind the `MarginVenue` protocol.

Orders and questions travel over signed REST, private events over the stream of a listen key, market data over
streams of their own. One-way positions with crossed margin in single assets; every other mode is refused.
"""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from typing import Any

import msgspec

from tradewind.venues.binance.common import BinanceConnector, BinanceOptions
from tradewind.venues.binance.encode import TIMES_IN_FORCE
from tradewind.venues.binance.live import USDM, BinanceEndpoints
from tradewind.venues.binance.rest import Failed
from tradewind.venues.binance_usdm.account import UsdmMirror
from tradewind.venues.binance_usdm.history import UsdmHistory
from tradewind.venues.binance_usdm.private_messages import (
    AssetsMode,
    CommissionRate,
    MarginBalance,
    PositionMode,
    PositionRisk,
)
from tradewind.venues.binance_usdm.trading import UsdmTrading
from tradewind.venues.binance_usdm.user_stream import ListenKeys, UsdmStream
from tradewind.venues.binance_usdm.wire import USDM_WIRE
from tradewind.venues.facts import facts_of
from tradewind.venues.feeds.decoding import UNREADABLE
from tradewind.venues.market_data import Instrument
from tradewind.venues.protocol import (
    Balance,
    FeeSchedule,
    Incomplete,
    OrderState,
    OrderType,
    Position,
    QueryResult,
    Uncertain,
    VenueCaps,
)
from tradewind.venues.transport.account_mirror import Unmapped

BALANCE_VERSION = "/fapi/v3/balance"
POSITION_VERSION = "/fapi/v3/positionRisk"
BALANCE_EVERY_S = 1.0
"""Balances are read at most so often because of events; each reading costs weight."""


class UsdmOptions(BinanceOptions, frozen=True, kw_only=True):
    """Bounds and addresses of one connector. Defaults are the venue's production hosts."""

    endpoints: BinanceEndpoints = USDM
    private_url: str = "wss://fstream.binance.com/private/ws"
    """Without the listen key, which is its last part."""
    keep_listen_key_s: float | None = None
    """How often the listen key is kept alive; None: half of its life."""
    end_listen_key: bool = True
    """Whether `close` gives the key up. It is the account's: leave it when other programs listen."""


class UsdmVenue(UsdmTrading, BinanceConnector):
    """One account at Binance USD-M; see `BinanceConnector`.

    Balances are those of margin: free is what new orders may use, held the rest of the wallet.
    """

    venue_name = "binance-usdm"
    wire = USDM_WIRE
    mirror_type = UsdmMirror
    history_type = UsdmHistory
    mirror: UsdmMirror
    options: UsdmOptions

    def __init__(self, *arguments: Any, **more: Any) -> None:
        self.timers, self.timer_s, self.changed = {}, 0, {}
        self.listen_keys: ListenKeys | None = None
        self._margin_task: asyncio.Task[Any] | None = None
        self._margin_due = False
        self._modes_known = False
        super().__init__(*arguments, **more)

    @classmethod
    def default_options(cls) -> UsdmOptions:
        return UsdmOptions()

    # ---- life --------------------------------------------------------------------------------------------

    async def open(self, timeout_s: float = 20.0) -> bool:
        """As of `BinanceConnector`, and keep the listen key alive."""
        self._spawn(self._keys().run())
        return await super().open(timeout_s)

    async def close(self) -> None:
        """End the connections and give the listen key up. Orders stay, and so do armed timers."""
        await super().close()
        if self.options.end_listen_key:
            await self._keys().end()

    def _keys(self) -> ListenKeys:
        if self.listen_keys is None:
            self.listen_keys = ListenKeys(
                self.rest, self.wire.facts, self._key_lost, self.options.keep_listen_key_s
            )
        return self.listen_keys

    def _key_lost(self, reason: str) -> None:
        for one in self.rotation.streams():
            one.link.degrade(reason)

    def _stream(self) -> UsdmStream:
        return UsdmStream(
            self.options.private_url,
            self._keys(),
            self.rest,
            self.mirror,
            reconcile=self._reconcile,
            on_transition=self._on_transition,
            on_shutdown=self._on_shutdown,
            name=f"{self.name} private",
            limits=self.options.link,
            socket_limits=self.options.socket,
            policy=self.options.reconnect,
        )

    def traded(self) -> list[str]:
        """Symbols that the account trades, as far as they are known."""
        return self._traded()

    # ---- what the venue says about itself ----------------------------------------------------------------

    def capabilities(self) -> VenueCaps:
        """What this connector does at Binance USD-M."""
        facts = facts_of(self.wire.facts)
        low, high = facts["countdown_s"].value
        return VenueCaps(
            name=self.name,
            order_types=frozenset({OrderType.LIMIT, OrderType.MARKET}),
            times_in_force=frozenset(TIMES_IN_FORCE),
            post_only=True,
            amend=True,
            client_ids=True,
            cancel_after_range_s=(int(low), int(high)),
            reduce_only=True,
            native_iceberg=False,
            max_batch_orders=int(facts["batch_orders"].value),
            private_fill_stream=True,
            sandbox=True,
        )

    async def _read_fees(self, instrument: Instrument) -> FeeSchedule | Failed:
        answer = await self.rest.read(
            "commissionRate", CommissionRate, [("symbol", instrument.venue_symbol)],
            weight=self.history.weight("commission"),
        )  # fmt: skip
        if isinstance(answer, Failed):
            return answer
        return FeeSchedule(
            name=f"{self.name} {instrument.symbol}",
            maker_bps=answer.makerCommissionRate * 10_000,
            taker_bps=answer.takerCommissionRate * 10_000,
            source="commissionRate",
            checked_on=time.strftime("%Y-%m-%d", time.gmtime()),
        )

    # ---- margin ------------------------------------------------------------------------------------------

    async def balances(self) -> list[Balance] | Incomplete:
        """Wallets of the account. Free is what new orders may use, at most the wallet; held is the rest:
        margin of orders and positions, and what positions have lost at the mark.
        """
        asked_ns = self.rest.clock.venue_ns()
        answer = await self.rest.read(
            BALANCE_VERSION, list[MarginBalance], weight=self.history.weight("balance")
        )
        if isinstance(answer, Failed):
            return Incomplete(answer.reason, 0)
        found: dict[str, Balance] = {}
        problems: list[str] = []
        for row in answer:
            if row.asset in found or row.balance < 0:
                problems.append(f"{row.asset[:40]}: wallet {row.balance}, or twice")
                continue
            free = max(Decimal(0), min(row.balance, row.availableBalance))
            found[row.asset] = Balance(asset=row.asset, free=free, held=row.balance - free, as_of_ns=asked_ns)
        if problems:
            return Incomplete("; ".join(problems)[:200], len(found))
        return list(found.values())

    async def positions(self, symbol: str | None = None) -> list[Position] | Incomplete:
        """Every position with lots, or that of one symbol; a row that cannot be mapped makes it
        `Incomplete`.
        """
        fields = []
        if symbol is not None:
            instrument = self.mirror.directory.instruments.get(symbol)
            if instrument is None:
                return Incomplete(f"no symbol {symbol[:40]!r}", 0)
            fields = [("symbol", instrument.venue_symbol)]
        asked_ns = self.rest.clock.venue_ns()
        answer = await self.rest.read(
            POSITION_VERSION, list[msgspec.Raw], fields, weight=self.history.weight("positions")
        )
        if isinstance(answer, Failed):
            return Incomplete(answer.reason, 0)
        found: list[Position] = []
        problems: list[str] = []
        for raw in answer:
            try:
                one = self.mirror.read(msgspec.json.decode(raw, type=PositionRisk), asked_ns)
            except (*UNREADABLE, Unmapped) as error:
                problems.append(str(error)[:200])
                continue
            if one is not None:
                found.append(one)
        if problems:
            return Incomplete("; ".join(problems)[:200], len(found))
        return found

    async def _reread_balances(self) -> None:
        """Read balances because of events: one reading at a time, and what comes meanwhile asks for one
        more behind it.
        """
        if self._margin_task is not None and not self._margin_task.done():
            self._margin_due = True
            return
        self._margin_task = asyncio.current_task()
        self._margin_due = True
        while self._margin_due:
            self._margin_due = False
            await super()._reread_balances()
            await asyncio.sleep(BALANCE_EVERY_S)

    # ---- reconciliation ----------------------------------------------------------------------------------

    async def _read_account(self, first: bool) -> str:
        problem = "" if self._modes_known else await self._read_modes()
        problem = problem or await super()._read_account(first)
        if problem:
            return problem
        heard = self.mirror.heard
        positions = await self.positions()
        if isinstance(positions, Incomplete):
            return f"positions: {positions.reason}"
        self.mirror.reconcile_positions(positions, heard)
        return ""

    async def _read_modes(self) -> str:
        """Hedge mode and assets that stand in for each other mean other positions and balances than ours."""
        weight = self.history.weight
        mode = await self.rest.read("positionSide/dual", PositionMode, weight=weight("position_mode"))
        if isinstance(mode, Failed):
            return f"positionSide/dual: {mode.reason}"
        assets = await self.rest.read("multiAssetsMargin", AssetsMode, weight=weight("assets_mode"))
        if isinstance(assets, Failed):
            return f"multiAssetsMargin: {assets.reason}"
        if mode.dualSidePosition:
            return "the account is in hedge mode, which is not supported"
        if assets.multiAssetsMargin:
            return "the account is in multi-assets mode, which is not supported"
        self._modes_known = True
        return ""

    # ---- reads -------------------------------------------------------------------------------------------

    def _found(self, state: OrderState, late: bool) -> QueryResult:
        if not self.decided(state) and not late:
            self.mirror.apply(state)
            return Uncertain("an earlier change may still arrive", self.sends.get(state.client_id, 0))
        self.changed.pop(state.client_id, None)
        return super()._found(state, late)

    def _order_changed(self, state: OrderState) -> None:
        super()._order_changed(state)
        self.decided(state)
