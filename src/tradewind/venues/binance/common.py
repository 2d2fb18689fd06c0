"""What the connectors of Binance spot and USD-M have in common: life, events, reconciliation and reads.

New risk needs private events `Live`; what takes risk away does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import ClassVar, Protocol

import msgspec
import structlog

from tradewind.venues.account_events import AccountEvents
from tradewind.venues.binance.account import Mirror
from tradewind.venues.binance.directory import Directory
from tradewind.venues.binance.history import History, Orders, Told
from tradewind.venues.binance.live import SPOT, BinanceEndpoints, BinanceFeed
from tradewind.venues.binance.rest import BinanceRest, Failed
from tradewind.venues.binance.rows import MS
from tradewind.venues.binance.trading import Trading
from tradewind.venues.binance.wire import SPOT_WIRE, MarketWire
from tradewind.venues.limits import Priority
from tradewind.venues.limits.binance import BadLimits
from tradewind.venues.market_data import DecodeError, FeedEvent, Instrument, Known, Unknown
from tradewind.venues.protocol import (
    FINAL_PHASES,
    Balance,
    FeeSchedule,
    FillEvent,
    Found,
    Incomplete,
    NotFound,
    OrderEvent,
    OrderRef,
    OrderState,
    PrivateEvent,
    QueryResult,
    Uncertain,
    VenueState,
    VenueStatus,
)
from tradewind.venues.transport.backoff import BackoffPolicy
from tradewind.venues.transport.http import PublicHttpSession
from tradewind.venues.transport.private_link import PrivateLimits, PrivateLink, Transition
from tradewind.venues.transport.rotation import Rotation, RotationPolicy
from tradewind.venues.transport.websocket import LinkLimits

log = structlog.get_logger(__name__)
NS = 1_000_000_000
INSTRUMENT_REFRESH_S = 3_600.0
INSTRUMENT_REREAD_S = 60.0
INSTRUMENT_STALE_S = 7_200.0
REREAD_WITHIN_S = 5.0
CLOCK_REFRESH_S = 60.0
FEE_AGE_S = 3_600.0
"""Longest age of a cached fee; a change of tier is seen within it."""
GAP_WAIT_S = 2.0
"""How long an execution may be late before it is fetched (T7.8)."""
RETRY_S = 1.0


class BinanceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds and addresses of one connector. Defaults are the venue's production hosts."""

    endpoints: BinanceEndpoints = SPOT
    private_url: str = "wss://ws-api.binance.com:443/ws-api/v3"
    symbols: tuple[str, ...] = ()
    """Canonical symbols that the account trades: the venue lists executions by symbol only. Empty: every
    symbol of which an order was seen, or all that there are when they are few.
    """
    window_ms: int = 3_000
    """Receive window of every signed request, and so the acceptance horizon of a submit (T7.4)."""
    answer_timeout_s: float = 5.0
    absence_margin_s: float = 1.0
    clock_skew_s: float = 0.5
    """Bound of what we know of the venue's clock, added to the horizon of a submit."""
    link: PrivateLimits = PrivateLimits()
    socket: LinkLimits = LinkLimits(ping_idle_s=1.0)
    reconnect: BackoffPolicy = BackoffPolicy()
    rotation: RotationPolicy = RotationPolicy()


class AccountStream(Protocol):
    """One connection with private events."""

    link: PrivateLink
    problems: list[str]
    """Events of this connection that could not be mapped: the account may hold more than the mirror."""


class BinanceConnector(Trading):
    """What the connectors of all Binance markets share. Build one, `open` it, `close` it; one event loop.

    `reconcile_hook(epoch)` is called at the end of every reconciliation, before private events are live: the
    owner compares its own books then and answers "" or what is wrong.
    """

    wire: ClassVar[MarketWire] = SPOT_WIRE
    mirror_type: ClassVar[type[Mirror]] = Mirror
    history_type: ClassVar[type[History]] = History

    def __init__(
        self,
        rest: BinanceRest,
        account: str,
        options: BinanceOptions | None = None,
        *,
        name: str = "",
        reconcile_hook: Callable[[int], Awaitable[str]] | None = None,
        on_transition: Callable[[Transition], None] | None = None,
    ) -> None:
        self.name = name = name or self.venue_name
        self.account = account
        self.options = options or self.default_options()
        self.rest = rest
        self.mirror = self.mirror_type(name, account, self._on_event, Directory(self.wire))
        self.mirror.quiet = True
        self.mirror.on_gap = self._fetch_gaps_later
        self.mirror.on_doubtful_balance = lambda: self._spawn(self._reread_balances())
        self.history = self.history_type(rest, self.mirror, self._traded)
        self.rotation: Rotation[AccountStream] = Rotation(self._stream, self.options.rotation)
        self.events = AccountEvents(account, self._stream_state)
        self.sends = OrderedDict()
        self.doubtful = set()
        self.answer_timeout_s = self.options.answer_timeout_s
        self.opened_ns = rest.clock.venue_ns()
        self._changing = {}
        self._hook = reconcile_hook
        self._told_transition = on_transition
        self._fees: dict[str, Known[FeeSchedule]] = {}
        self._seen_symbols: dict[str, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._gap_task: asyncio.Task[None] | None = None
        self._read_at_s = float("-inf")

    venue_name: ClassVar[str]

    @classmethod
    def default_options(cls) -> BinanceOptions:
        """The venue's production hosts."""
        return BinanceOptions()

    def _stream(self) -> AccountStream:
        """A connection that is not started."""
        raise NotImplementedError

    async def balances(self) -> list[Balance] | Incomplete:
        """Every balance of the account."""
        raise NotImplementedError

    def stream_balances(self) -> list[Balance] | None:
        """Balances as the private stream has told them, as of its last sign of life; None while it is not
        live.
        """
        link = self.rotation.current.link
        age_s = link.socket.frame_age_s()
        if not link.live or age_s is None:
            return None
        as_of_ns = time.time_ns() - int(age_s * 1e9)
        return [
            Balance(asset=asset, free=free, held=held, as_of_ns=as_of_ns)
            for asset, (free, held, _) in self.mirror.balances.items()
        ]

    async def _read_fees(self, instrument: Instrument) -> FeeSchedule | Failed:
        """What the account pays in a symbol."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.account!r}, live={self.live})"

    # ---- life --------------------------------------------------------------------------------------------

    async def open(self, timeout_s: float = 20.0) -> bool:
        """Read clock, limits and instruments, connect, and wait until private events are live. False: not in
        time; the connector goes on trying.
        """
        await self.rest.measure_clock()
        await self.refresh_instruments()
        self._spawn(self._keep_fresh())
        self.rotation.start()
        return await self.rotation.current.link.wait_live(timeout_s)

    async def close(self) -> None:
        """End the connections and every stream. Orders at the venue stay: it has no timer for them."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.rotation.close()
        self.events.close()

    @property
    def live(self) -> bool:
        """Whether private events are proven."""
        return self.rotation.live

    async def refresh_instruments(self) -> str:
        """Read `exchangeInfo` again: symbols, filters, limits. "" when it worked, else why not (the old ones
        stay).
        """
        body = await self.rest.public(
            "exchangeInfo", self.wire.info_fields, cls=Priority.P2,
            weight=self.history.weight("exchange_info"),
        )  # fmt: skip
        if isinstance(body, Failed):
            return body.reason
        try:
            directory = Directory.parse(body, time.time_ns(), self.wire)
            self.rest.limits.load(directory.limits, self.rest.clock.venue_ns())
        except (DecodeError, BadLimits) as error:
            return str(error)
        self.mirror.directory = directory
        self.rest.gate.poke()
        self._read_at_s = time.monotonic()
        unknown = directory.unknown_states()
        if unknown or directory.quarantined or directory.unknown_filters:
            log.warning(
                "binance_instruments_doubtful",
                unknown_states=len(unknown),
                quarantined=len(directory.quarantined),
                unknown_filters=sorted(directory.unknown_filters)[:8],
            )
        return ""

    async def _keep_fresh(self) -> None:
        """Instruments and limits hourly and after a 429, the clock every minute."""
        while True:
            await asyncio.sleep(CLOCK_REFRESH_S)
            await self.rest.measure_clock()
            old = time.monotonic() - self._read_at_s > INSTRUMENT_REFRESH_S
            if old or self.rest.limits.needs_load(self.rest.clock.venue_ns()):
                await self.refresh_instruments()

    def filter_refused(self) -> None:
        """Read the rules again, at most once a minute (T2.3)."""
        if time.monotonic() - self._read_at_s > INSTRUMENT_REREAD_S:
            self._read_at_s = time.monotonic()

            async def again() -> None:
                await self.refresh_instruments()

            self._spawn(again())

    async def reread_rules(self) -> None:
        """Read the rules again, at most `REREAD_WITHIN_S` long; the old ones stay when that fails."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REREAD_WITHIN_S):
                await self.refresh_instruments()

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _traded(self) -> list[str]:
        """Symbols that this account trades, as far as it is known: named, or with an order that was seen."""
        instruments = self.mirror.directory.instruments
        chosen = dict.fromkeys((*self.options.symbols, *self._seen_symbols))
        return [one for one in chosen if one in instruments]

    # ---- what the venue says about itself ----------------------------------------------------------------

    async def instruments(self) -> list[Instrument] | Incomplete:
        """Every symbol whose row could be read. Incomplete before the first reading."""
        if not self.mirror.directory.instruments:
            problem = await self.refresh_instruments()
            if problem:
                return Incomplete(problem, 0)
        return list(self.mirror.directory.instruments.values())

    async def status(self) -> VenueStatus:
        """The venue is online while it answers and its symbols trade; unknown while it does not answer."""
        problem = ""
        if time.monotonic() - self._read_at_s > INSTRUMENT_REREAD_S:
            problem = await self.refresh_instruments()
        answered = await self.rest.measure_clock()
        directory = self.mirror.directory
        states = dict(directory.states)
        now_ns = time.time_ns()
        age_s = time.monotonic() - self._read_at_s
        if not answered or not states or age_s > INSTRUMENT_STALE_S:
            reason = problem or ("no answer" if not answered else "the symbols are not known")
            return VenueStatus(state=VenueState.UNKNOWN, symbols=states, reason=reason, as_of_ns=now_ns)
        for symbol, rules in directory.rules.items():
            if rules.no_new_risk:
                states[symbol] = VenueState.UNKNOWN
        state, reason = _whole(states, self._traded())
        return VenueStatus(state=state, symbols=states, reason=problem or reason, as_of_ns=now_ns)

    async def fees(self, account: str, symbol: str) -> Known[FeeSchedule] | Unknown:
        """The account's own fees of a symbol. A discount for paying in another asset is not counted on."""
        if account != self.account:
            return Unknown(f"this connector is for another account than {account[:40]!r}")
        instrument = self.mirror.directory.instruments.get(symbol)
        if instrument is None:
            return Unknown(f"no symbol {symbol[:40]!r}")
        cached = self._fees.get(symbol)
        now_ns = time.time_ns()
        if cached is not None and now_ns - cached.as_of_ns < FEE_AGE_S * NS:
            return cached
        answer = await self._read_fees(instrument)
        if isinstance(answer, Failed):
            return Unknown(f"fees of {symbol}: {answer.reason}")
        known = Known(answer, now_ns, f"{self.name} {answer.source}")
        self._fees[symbol] = known
        return known

    # ---- streams -----------------------------------------------------------------------------------------

    def market(self, symbols: Sequence[str]) -> AsyncIterator[FeedEvent]:
        """Market data of these symbols over a connection of its own; ends with the reader."""
        instruments = self.mirror.directory.instruments
        return self._market([instruments[one] for one in symbols if one in instruments])

    async def _market(self, chosen: list[Instrument]) -> AsyncIterator[FeedEvent]:
        if not chosen:
            return
        endpoints = self.options.endpoints
        http = PublicHttpSession(endpoints.rest_url, endpoints.paths())
        feed = BinanceFeed(chosen, endpoints, http)
        try:
            async for event in feed.events():
                yield event
        finally:
            await feed.close()

    def private(self, account: str) -> AsyncIterator[PrivateEvent]:
        """The account's events from now on, after the present state of the stream."""
        return self.events.of(account)

    def _stream_state(self) -> tuple[bool, str]:
        link = self.rotation.current.link
        return self.live, f"{link.phase}: {link.reason}"

    def _on_event(self, event: PrivateEvent) -> None:
        if isinstance(event, OrderEvent):
            self._order_changed(event.state)
        self.events.put(event)

    def _order_changed(self, state: OrderState) -> None:
        """Keep the limiter's picture of working orders, for which it keeps cancels free."""
        self._seen_symbols.setdefault(state.symbol)
        if state.client_id not in self.mirror.replacing:
            self.doubtful.discard(state.client_id)
        key = state.client_id or state.venue_id
        if state.phase in FINAL_PHASES:
            self.rest.limits.gone(key)
        else:
            self.rest.limits.working(key, state.symbol)

    def _on_transition(self, stream: AccountStream, transition: Transition) -> None:
        self.events.moved(transition.reason, transition.at_ns)
        log.info(
            "binance_link",
            before=transition.before,
            after=transition.after,
            reason=transition.reason,
            epoch=transition.epoch,
        )
        if self._told_transition is not None:
            self._told_transition(transition)

    def _on_shutdown(self, stream: AccountStream, reason: str) -> None:
        if stream is self.rotation.current:
            self.rotation.rotate(reason)

    # ---- executions that were not told -------------------------------------------------------------------

    def _fetch_gaps_later(self) -> None:
        if not self.mirror.quiet and (self._gap_task is None or self._gap_task.done()):
            self._gap_task = asyncio.ensure_future(self._fetch_gaps())
            self._tasks.add(self._gap_task)
            self._gap_task.add_done_callback(self._tasks.discard)

    async def _fetch_gaps(self) -> None:
        """Executions that an order shows and nobody told: after two seconds they are asked for."""
        while self.mirror.gaps:
            venue_id, since_s = next(iter(self.mirror.gaps.items()))
            await asyncio.sleep(max(0.0, since_s + GAP_WAIT_S - time.monotonic()))
            symbol = self.mirror.owed_symbol(venue_id)
            if venue_id not in self.mirror.gaps or not symbol:
                self.mirror.gaps.pop(venue_id, None)
                continue
            rows = await self.history.of_order(symbol, venue_id)
            if isinstance(rows, Incomplete):
                log.warning("binance_fills_missing", order=venue_id, reason=rows.reason)
                await asyncio.sleep(RETRY_S)
                missed_s = self.mirror.gaps.pop(venue_id, None)
                if missed_s is not None:  # not told meanwhile: others first
                    self.mirror.gaps[venue_id] = missed_s
                continue
            self._tell_fills(rows)
            if venue_id in self.mirror.gaps:
                self.mirror.gaps[venue_id] = time.monotonic()  # not listed yet: wait again

    def _tell_fills(self, rows: list[Told]) -> None:
        for one in rows:
            self.mirror.fill(one.fact, one.client_id, one.remaining_lots)

    async def _reread_balances(self) -> None:
        answer = await self.balances()
        if isinstance(answer, list):
            self._tell_balances(answer)

    def _tell_balances(self, rows: list[Balance]) -> None:
        for one in rows:
            if one.total or one.asset in self.mirror.balances:
                self.mirror.set_balance(one.asset, one.free, one.held, one.as_of_ns)

    # ---- reconciliation (T6.8, T7.9) ---------------------------------------------------------------------

    async def _reconcile(self, stream: AccountStream, epoch: int) -> str:
        """Bring the mirror up to the venue. "" or the reason why it is not complete."""
        if time.monotonic() - self._read_at_s > INSTRUMENT_REREAD_S:
            problem = await self.refresh_instruments()
            if problem:
                return f"instruments: {problem}"
        first = self.mirror.quiet
        problem = await self._read_account(first)
        if problem or stream.problems:
            return problem or f"events that cannot be mapped: {stream.problems[0]}"
        if first:
            self.mirror.quiet = False
            for order in self.mirror.open():
                self._order_changed(order)
        return await self._hook(epoch) if self._hook is not None else ""

    async def _read_account(self, first: bool) -> str:
        answer = await self.history.open_orders(None)
        if isinstance(answer, Failed):
            return f"open orders: {answer.reason}"
        if answer.problems:
            return f"open orders: {answer.problems[0]}"
        for state in answer.rows.values():
            self._seen_symbols.setdefault(state.symbol)
        if first:
            self.mirror.last_fill_ns = self.mirror.last_fill_ns or self.rest.clock.venue_ns()
        # at first nothing of it is told: those of the minute before we came are only remembered
        fills = await self.history.fills(self.mirror.last_fill_ns, self._traded())
        if isinstance(fills, Incomplete):
            return f"executions: {fills.reason}"
        self._tell_fills(fills)
        for state in answer.rows.values():
            self.mirror.apply(state)
        problem = await self._ended_orders(answer)
        if problem:
            return problem
        balances = await self.balances()
        if isinstance(balances, Incomplete):
            return f"balances: {balances.reason}"
        self._tell_balances(balances)
        return ""

    async def _ended_orders(self, present: Orders) -> str:
        """Orders that were working and are not listed any more: asked for, never assumed (T7.9)."""
        for venue_id in self.mirror.missing(present.rows):
            known = self.mirror.working.get(venue_id)
            if known is None:
                continue
            answer = await self.history.order(known.symbol, venue_id=venue_id)
            if isinstance(answer, Failed):
                return f"order {venue_id}: {answer.reason}"
            if isinstance(answer, OrderState):
                self.mirror.apply(answer)
            elif self._past_horizon(known.client_id):
                self._forget(known)
            else:
                return f"order {venue_id} is neither open nor known"
        return ""

    def _forget(self, known: OrderState) -> None:
        """An order that is proven never to have been there."""
        self.mirror.forget(known.venue_id)
        self.rest.limits.gone(known.client_id or known.venue_id)

    # ---- reads -------------------------------------------------------------------------------------------

    @property
    def horizon_ns(self) -> int:  # type: ignore[override]
        """How long after a submit the venue may still accept it, with every margin (T7.6)."""
        options = self.options
        margin_ns = int((options.absence_margin_s + options.clock_skew_s) * NS)
        offset = self.rest.clock.offset()
        return self.rest.window_ms * MS + margin_ns + (0 if offset is None else offset.bound_ns)

    def _past_horizon(self, client_id: str) -> bool:
        return self.rest.clock.venue_ns() >= self.sends.get(client_id, self.opened_ns) + self.horizon_ns

    async def query(self, reference: OrderRef) -> QueryResult:
        """One order by our id. Absence is proven only behind the horizon of its latest submit, and when the
        list of open orders does not show it either.
        """
        client_id = reference.client_id
        which = self._which(reference)
        if reference.symbol not in self.mirror.directory.instruments or not isinstance(which, tuple):
            return NotFound(False)
        late = self._past_horizon(client_id)
        by_name = which[0] == "origClientOrderId"
        answer = await self.history.order(
            reference.symbol, client_id=which[1] if by_name else "", venue_id="" if by_name else which[1]
        )
        if isinstance(answer, Failed):
            return Uncertain(answer.reason, self.rest.clock.venue_ns())
        if isinstance(answer, OrderState):
            return self._found(answer, late)
        return await self._listed(reference) if late else NotFound(False)

    async def _listed(self, reference: OrderRef) -> QueryResult:
        """The second look at an order that the venue said not to have, in the list of what is open."""
        client_id = reference.client_id
        listed = await self.history.shared_open(reference.symbol)
        if isinstance(listed, Failed) or listed.problems:
            reason = listed.reason if isinstance(listed, Failed) else listed.problems[0]
            return Uncertain(reason, self.rest.clock.venue_ns())
        for state in listed.rows.values():
            if state.client_id == client_id:
                return self._found(state, late=True)
        known = self.mirror.find(client_id)
        if known is not None and known.phase not in FINAL_PHASES:
            self._forget(known)
        self.doubtful.discard(client_id)
        self.rest.limits.gone(client_id)
        return NotFound(True)

    def _found(self, state: OrderState, late: bool) -> QueryResult:
        client_id = state.client_id
        if self._swap_undecided(client_id, state.venue_id) and not late:
            self.mirror.apply(state)
            return Uncertain("what replaces it may still arrive", self.sends[client_id])
        self.mirror.apply(state)
        if client_id in self.doubtful:
            self.doubtful.discard(client_id)
            self.mirror.end_replace(client_id)
        return Found(state)

    async def open_orders(self, symbol: str | None) -> list[OrderState] | Incomplete:
        """Every open order at the venue, ours or not. Callers at the same time share one reading."""
        answer = await self.history.shared_open(symbol)
        if isinstance(answer, Failed):
            return Incomplete(answer.reason, 0)
        if answer.problems:
            return Incomplete("; ".join(answer.problems)[:200], len(answer.rows))
        return list(answer.rows.values())

    async def fills(self, since_sequence: int) -> list[FillEvent] | Incomplete:
        """Executions of the traded symbols since a sequence (a time in ns) less a minute. Callers at the same
        time share one reading.
        """
        return await self.history.shared_fill_events(since_sequence)


def _whole(states: dict[str, VenueState], traded: list[str]) -> tuple[VenueState, str]:
    """The venue's state: online when anything that is traded here is, else the state that they share."""
    mine = [states[one] for one in traded] or list(states.values())
    if VenueState.ONLINE in mine:
        return VenueState.ONLINE, ""
    first = mine[0]
    state = first if all(one is first for one in mine) else VenueState.MAINTENANCE
    return state, "no traded symbol is open"
