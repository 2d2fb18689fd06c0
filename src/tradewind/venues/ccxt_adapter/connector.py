"""`CcxtVenue`: a venue for which there is no connector of our own, through ccxt, behind the `Venue` protocol.

Everything that counts is read over REST, as text. ccxt's private streams only say that something happened:
then the account is read again, and what is new is told. Best effort: see docs/venues.md for what a venue
has to offer.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import structlog

from tradewind.venues.account_events import AccountEvents
from tradewind.venues.ccxt_adapter.calls import Caller, Failed
from tradewind.venues.ccxt_adapter.directory import Directory, exact
from tradewind.venues.ccxt_adapter.history import Absent, History
from tradewind.venues.ccxt_adapter.limits import CostLimits, stated
from tradewind.venues.ccxt_adapter.market import read_markets
from tradewind.venues.ccxt_adapter.options import CcxtOptions
from tradewind.venues.ccxt_adapter.profile import profile_of
from tradewind.venues.ccxt_adapter.rounds import Rounds
from tradewind.venues.ccxt_adapter.rows import balance_rows
from tradewind.venues.ccxt_adapter.trading import Trading
from tradewind.venues.limits import Priority
from tradewind.venues.market_data import FeedEvent, FloatMoney, Instrument, Known, Unknown
from tradewind.venues.protocol import (
    FINAL_PHASES,
    Balance,
    Environment,
    FeeSchedule,
    FillEvent,
    Found,
    Incomplete,
    NotFound,
    OrderRef,
    OrderState,
    OrderType,
    PrivateEvent,
    QueryResult,
    TimeInForce,
    Uncertain,
    VenueCaps,
    VenueState,
    VenueStatus,
)
from tradewind.venues.transport.account_mirror import AccountMirror, Unmapped

log = structlog.get_logger(__name__)
NS: Final = 1_000_000_000
INSTRUMENT_REFRESH_S: Final = 3_600.0
INSTRUMENT_STALE_S: Final = 7_200.0
FEE_AGE_S: Final = 3_600.0
STATUS_READ_S: Final = 60.0
MAX_UNNAMED_SYMBOLS: Final = 20
"""Where executions are listed by symbol and none is named, so many are asked one by one, not more."""
MAX_DOUBTED: Final = 50
"""Known orders that are asked for one by one because a list lacks them."""
TIMES: Final = {"IOC": TimeInForce.IOC, "FOK": TimeInForce.FOK}
STATES: Final = {
    "ok": VenueState.ONLINE,
    "maintenance": VenueState.MAINTENANCE,
    "shutdown": VenueState.MAINTENANCE,
}


class CapsInsufficient(PermissionError):
    """The venue cannot do what an environment with real money needs (T1.12)."""

    code = "CapsInsufficient"


class CcxtVenue(Trading):
    """One account at a venue. Build it, `open` it, `close` it; one event loop."""

    def __init__(self, exchange: Any, account: str, options: CcxtOptions, *, name: str = "") -> None:
        """`exchange` is of `library.exchange_of`."""
        self.name = name or f"ccxt-{options.exchange}"
        self.account, self.options = account, options
        self.profile = profile_of(options.exchange)
        self.mirror = AccountMirror(self.name, account, self._on_event)
        self.mirror.quiet = True
        units, window_s = stated(exchange, options.units_per_s)
        self.caller = Caller(
            exchange,
            CostLimits(units, window_s, lambda: len(self.mirror.working)),
            call_timeout_s=options.call_timeout_s,
            retry_after_missing_s=options.retry_after_missing_s,
        )
        self.history = History(self.caller, self.profile)
        self.events = AccountEvents(account, lambda: (self.live, self.rounds.problem))
        self.rounds = Rounds(self)
        self.epoch = 0
        self.sends = OrderedDict()
        self.doubtful = set()
        self.opened_ns = time.time_ns()
        self._read_at_s = float("-inf")
        self._fees: dict[str, Known[FeeSchedule]] = {}
        self._seen_symbols: dict[str, None] = {}
        self._refreshing: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"CcxtVenue({self.options.exchange!r}, {self.account!r}, live={self.live})"

    # ---- life --------------------------------------------------------------------------------------------

    async def open(self, timeout_s: float = 20.0) -> bool:
        """Read markets and account, and wait until private events are live. False: not in time; it goes
        on.
        """
        await self.refresh_instruments()
        self.rounds.start()
        self._refreshing = asyncio.create_task(self._keep_fresh())
        return await self.rounds.wait_live(timeout_s)

    async def close(self) -> None:
        """End connections and streams. Orders at the venue stay."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)
        await self.rounds.close()
        await self.caller.close()
        self.events.close()

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(INSTRUMENT_REFRESH_S)
            await self.refresh_instruments()

    async def refresh_instruments(self) -> str:
        """Read the markets again. "" when it worked, else why not (the old ones stay)."""
        markets = await self.caller.call("load_markets", True, cls=Priority.P2)
        if isinstance(markets, Failed):
            return markets.reason
        if not isinstance(markets, dict) or not markets:
            return "no markets"
        mode = int(self.caller.exchange.precisionMode)
        directory = Directory.of(self.name, markets, mode, time.time_ns())
        if not directory.instruments:
            first = next(iter(directory.quarantined.items()), ("", "no spot markets"))
            return f"no market can be told exactly: {first[0]} {first[1]}"
        if directory.quarantined:
            log.warning("ccxt_markets_quarantined", venue=self.name, count=len(directory.quarantined))
        self.history.directory = directory
        self._read_at_s = time.monotonic()
        return ""

    @property
    def live(self) -> bool:
        """Whether the account was read completely, and not long ago."""
        return self.rounds.live

    def wake(self) -> None:
        """Read the account soon."""
        self.rounds.wake()

    def traded(self) -> list[str]:
        """Symbols of the account, as far as they are known. Empty: the venue has too many to ask one by
        one.
        """
        instruments = self.history.directory.instruments
        chosen = [
            one for one in dict.fromkeys((*self.options.symbols, *self._seen_symbols)) if one in instruments
        ]
        if chosen or len(instruments) > MAX_UNNAMED_SYMBOLS:
            return chosen
        return list(instruments)

    def _on_event(self, event: PrivateEvent) -> None:
        state = getattr(event, "state", None)
        if isinstance(state, OrderState):
            self._seen_symbols.setdefault(state.symbol)
        self.events.put(event)

    # ---- what the venue says about itself ----------------------------------------------------------------

    @property
    def _features(self) -> dict[str, Any]:
        spot = (getattr(self.caller.exchange, "features", None) or {}).get("spot") or {}
        return spot.get("createOrder") or {}

    @property
    def times_in_force(self) -> frozenset[TimeInForce]:
        """GTC, and what ccxt names."""
        named = self._features.get("timeInForce") or {}
        return frozenset({TimeInForce.GTC, *(one for word, one in TIMES.items() if named.get(word))})

    @property
    def post_only(self) -> bool:
        """Whether ccxt names orders that only rest."""
        named = self._features.get("timeInForce") or {}
        return bool(named.get("PO")) or self.caller.has("createPostOnlyOrder")

    def capabilities(self) -> VenueCaps:
        """What ccxt says that the venue can do, and what was looked up."""
        kinds = {OrderType.LIMIT}
        if TimeInForce.IOC in self.times_in_force:
            kinds.add(OrderType.MARKET)
        return VenueCaps(
            name=self.name,
            order_types=frozenset(kinds),
            times_in_force=self.times_in_force,
            post_only=self.post_only,
            amend=False,
            client_ids=self.profile.client_ids,
            cancel_after_range_s=self.cancel_after_range_s,
            reduce_only=False,
            native_iceberg=False,
            max_batch_orders=1,
            private_fill_stream=self.caller.has("watchMyTrades"),
            sandbox=bool(self.caller.exchange.has.get("sandbox")),
        )

    def require(self, environment: Environment) -> None:
        """Raises `CapsInsufficient` where real money needs more than this venue has."""
        if environment not in {Environment.CANARY, Environment.LIVE}:
            return
        missing = []
        if not self.profile.client_ids:
            missing.append("client order ids")
        if not self.caller.has("fetchMyTrades"):
            missing.append("a list of own trades")
        if self.horizon_s is None:
            missing.append("a bound behind which an order cannot appear any more")
        if missing:
            raise CapsInsufficient(f"{self.name} in {environment} lacks {', '.join(missing)}")

    async def instruments(self) -> list[Instrument] | Incomplete:
        """Spot markets that can be told exactly. Incomplete before the first reading."""
        if not self.history.directory.instruments:
            problem = await self.refresh_instruments()
            if problem:
                return Incomplete(problem, 0)
        return list(self.history.directory.instruments.values())

    async def status(self) -> VenueStatus:
        """The venue's own word where ccxt can ask for it, else whether it answers."""
        problem = ""
        if time.monotonic() - self._read_at_s > STATUS_READ_S:
            problem = await self.refresh_instruments()
        state, reason = await self._word()
        symbols = dict(self.history.directory.states)
        if time.monotonic() - self._read_at_s > INSTRUMENT_STALE_S or not symbols:
            state, reason = VenueState.UNKNOWN, problem or "the symbols are not known"
        return VenueStatus(state=state, symbols=symbols, reason=reason or problem, as_of_ns=time.time_ns())

    async def _word(self) -> tuple[VenueState, str]:
        if self.caller.has("fetchStatus"):
            answer = await self.caller.call("fetch_status", cls=Priority.P2)
            if isinstance(answer, dict):
                word = str(answer.get("status"))
                return STATES.get(
                    word, VenueState.UNKNOWN
                ), "" if word == "ok" else f"the venue says {word[:40]}"
            if answer.code is None:
                return VenueState.UNKNOWN, answer.reason
        # no such question at this venue: it is up when it tells its time
        if not self.caller.has("fetchTime"):
            return VenueState.UNKNOWN, "the venue does not tell its state"
        answer = await self.caller.call("fetch_time", cls=Priority.P2)
        if isinstance(answer, Failed):
            return VenueState.UNKNOWN, answer.reason
        return VenueState.ONLINE, "it answers; its own word is not to be had"

    async def fees(self, account: str, symbol: str) -> Known[FeeSchedule] | Unknown:
        """The account's fees, only as the venue tells them: ccxt's own table is not the account's."""
        instruments = self.history.directory.instruments
        if account != self.account or symbol not in instruments:
            return Unknown(f"no fees of {symbol[:40]!r} for account {account[:40]!r}")
        cached = self._fees.get(symbol)
        if cached is not None and time.time_ns() - cached.as_of_ns < FEE_AGE_S * NS:
            return cached
        if not self.caller.has("fetchTradingFee"):
            return Unknown("ccxt cannot ask this venue for fees")
        answer = await self.caller.call("fetch_trading_fee", symbol, cls=Priority.P2)
        if isinstance(answer, Failed):
            return Unknown(answer.reason)
        known = self._schedule(symbol, answer)
        if isinstance(known, Known):
            self._fees[symbol] = known
        return known

    def _schedule(self, symbol: str, answer: Any) -> Known[FeeSchedule] | Unknown:
        try:
            maker, taker = (exact(answer.get(one), one) * 10_000 for one in ("maker", "taker"))
        except (Unmapped, FloatMoney, AttributeError) as error:
            return Unknown(f"fees: {error}"[:200])
        now_ns = time.time_ns()
        schedule = FeeSchedule(
            name=f"{self.name} {symbol}",
            maker_bps=maker,
            taker_bps=taker,
            source="fetch_trading_fee",
            checked_on=time.strftime("%Y-%m-%d", time.gmtime(now_ns // NS)),
        )
        return Known(schedule, now_ns, f"{self.name} fetch_trading_fee")

    # ---- streams -----------------------------------------------------------------------------------------

    def market(self, symbols: Sequence[str]) -> AsyncIterator[FeedEvent]:
        """Books and trades, read every `market_every_s`."""
        instruments = self.history.directory.instruments
        chosen = [instruments[one] for one in symbols if one in instruments]
        return read_markets(self.caller, chosen, self.options)

    def private(self, account: str) -> AsyncIterator[PrivateEvent]:
        """The account's events from now on, after the present state of the stream."""
        return self.events.of(account)

    # ---- reads -------------------------------------------------------------------------------------------

    async def query(self, reference: OrderRef) -> QueryResult:
        """One order by our id. Absence is proven only behind the horizon of its latest submit."""
        late = self._past_horizon(reference.client_id)
        if reference.symbol not in self.history.directory.instruments:
            return NotFound(False)
        answer = await self.locate(reference, Priority.P2)
        if isinstance(answer, Failed):
            return Uncertain(answer.reason, answer.sent_ns or time.time_ns())
        if isinstance(answer, Absent):
            if late:
                self.forget(reference.client_id)
            return NotFound(late and self.profile.takes(reference.client_id))
        return Found(answer)

    def forget(self, client_id: str) -> None:
        """An order is proven not to be there, whatever was said of it."""
        known = self.mirror.find(client_id)
        if known is not None:
            self.mirror.forget(known.venue_id)
        self.doubtful.discard(client_id)

    async def open_orders(self, symbol: str | None) -> list[OrderState] | Incomplete:
        """Every open order at the venue, ours or not."""
        return await self.listed(symbol, Priority.P2)

    async def listed(self, symbol: str | None, cls: Priority) -> list[OrderState] | Incomplete:
        """Open orders, held against what is known: ccxt reads some strange answers as an empty list."""
        before = {one.venue_id: one for one in self.mirror.open(symbol)}
        answer = await self.history.open_orders(symbol, cls)
        if isinstance(answer, Incomplete):
            return answer
        missing = [one for name, one in before.items() if name not in {row.venue_id for row in answer}]
        if len(missing) > MAX_DOUBTED:
            return Incomplete(f"{len(missing)} orders that work are not in the list", len(answer))
        for one in missing:
            found = await self.history.order(one.symbol, one.venue_id, cls)
            if isinstance(found, Failed):
                return Incomplete(f"order {one.venue_id} is not in the list: {found.reason}", len(answer))
            if isinstance(found, OrderState):
                if found.phase not in FINAL_PHASES:
                    return Incomplete(f"order {one.venue_id} works and is not in the list", len(answer))
                self.mirror.apply(self.named(found))
        return [self.named(one) for one in answer]

    def named(self, state: OrderState) -> OrderState:
        """An order with our id, where the venue's row leaves it out."""
        known = self.mirror.get(state.venue_id)
        if state.client_id or known is None:
            return state
        return OrderState(
            client_id=known.client_id, venue_id=state.venue_id, symbol=state.symbol, side=state.side,
            phase=state.phase, price_ticks=state.price_ticks, lots=state.lots,
            filled_lots=state.filled_lots, reason=state.reason, updated_ns=state.updated_ns,
        )  # fmt: skip

    async def fills(self, since_sequence: int) -> list[FillEvent] | Incomplete:
        """Executions since a sequence (a time in ns) less a minute; 0: all that there are."""
        return await self.rounds.fills(since_sequence)

    async def balances(self) -> list[Balance] | Incomplete:
        """Balances with what orders hold. An asset of which one of them is not told makes them incomplete."""
        asked_ns = time.time_ns()
        answer = await self.caller.call("fetch_balance", cls=Priority.P2)
        if isinstance(answer, Failed):
            return Incomplete(answer.reason, 0)
        if not isinstance(answer, dict):
            return Incomplete("no balances", 0)
        try:
            rows, problems = balance_rows(answer, asked_ns)
        except FloatMoney as error:
            return Incomplete(str(error), 0)
        return Incomplete("; ".join(problems)[:200], len(rows)) if problems else rows
