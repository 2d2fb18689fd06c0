"""`KrakenVenue`: Kraken spot behind the `Venue` protocol.

Orders, cancels and the timer travel over the authenticated WebSocket; REST answers questions, gives tokens,
and carries cancels while the WebSocket is away. New risk needs the private link `Live`.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from decimal import Decimal

import msgspec
import structlog

from tradewind.venues.account_events import AccountEvents
from tradewind.venues.feeds.decoding import UNREADABLE
from tradewind.venues.kraken.account import Mirror
from tradewind.venues.kraken.directory import Directory, state_of
from tradewind.venues.kraken.encode import TIMES_IN_FORCE
from tradewind.venues.kraken.history import History, Orders, with_remainders
from tradewind.venues.kraken.live import KrakenEndpoints, KrakenFeed
from tradewind.venues.kraken.private_messages import FeeRow, SystemStatus, TradeVolume
from tradewind.venues.kraken.private_socket import SNAPSHOT_TRADES, PrivateSocket
from tradewind.venues.kraken.rest import Failed, KrakenRest
from tradewind.venues.kraken.rows import NS, balance_rows
from tradewind.venues.kraken.trading import CANCEL_AFTER_RANGE_S, Trading
from tradewind.venues.limits import Priority
from tradewind.venues.market_data import (
    DecodeError,
    FeedEvent,
    Instrument,
    Known,
    Unknown,
    UnknownSymbol,
)
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
    OrderType,
    PrivateEvent,
    QueryResult,
    Uncertain,
    VenueCaps,
    VenueState,
    VenueStatus,
)
from tradewind.venues.transport.account_mirror import TradeFact
from tradewind.venues.transport.backoff import BackoffPolicy
from tradewind.venues.transport.private_link import Phase, PrivateLimits, Transition
from tradewind.venues.transport.websocket import LinkLimits

log = structlog.get_logger(__name__)
INSTRUMENT_REFRESH_S = 3_600.0
INSTRUMENT_REREAD_S = 60.0
FEE_AGE_S = 3_600.0
"""Longest age of a cached fee; a change of tier is seen within it."""


class KrakenOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds and addresses of one connector. Defaults are the venue's production hosts."""

    endpoints: KrakenEndpoints = KrakenEndpoints()
    private_url: str = "wss://ws-auth.kraken.com/v2"
    deadline_s: float = 3.0
    """Acceptance horizon of a submit (T7.4), 0.5 to 60 s."""
    answer_timeout_s: float = 5.0
    verify_timeout_s: float = 3.0
    """How long a cancel waits for the event that proves it before it asks."""
    clock_skew_s: float = 1.0
    """Bound of the difference between our clock and the venue's, added to the horizon."""
    absence_margin_s: float = 1.0
    book_depth: int = 1_000
    link: PrivateLimits = PrivateLimits()
    socket: LinkLimits = LinkLimits(ping_idle_s=1.0)
    reconnect: BackoffPolicy = BackoffPolicy(max_attempts=100, attempt_window_s=600.0)


class ConnectorFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What operators watch of a connector. Ages in seconds; an offset that was never measured is None."""

    phase: Phase
    reason: str
    outage_s: float
    reconnects: int
    bad_frames: int
    late_replies: int
    gaps: int
    repeated_messages: int
    unmapped_rows: int
    unknown_words: dict[str, int]
    repeated_fills: int
    working_orders: int
    doubtful_orders: int
    server_errors: int
    isolated: tuple[str, ...]
    clock_offset_ns: int | None
    instruments: int
    quarantined_rows: int
    control_age_s: float


class KrakenVenue(Trading):
    """One account at Kraken. Build it, `open` it, `close` it; one event loop.

    `reconcile_hook(epoch)` is called at the end of every reconciliation, before the link goes live: the owner
    compares its own books then and answers "" or what is wrong.
    """

    def __init__(
        self,
        rest: KrakenRest,
        account: str,
        options: KrakenOptions | None = None,
        *,
        name: str = "kraken",
        reconcile_hook: Callable[[int], Awaitable[str]] | None = None,
        on_transition: Callable[[Transition], None] | None = None,
    ) -> None:
        self.name = name
        self.account = account
        self.options = options or KrakenOptions()
        self.rest = rest
        self.mirror = Mirror(name, account, self._on_event)
        self.history = History(rest, self.mirror)
        self.socket = PrivateSocket(
            self.options.private_url,
            rest,
            self.mirror,
            self._reconcile,
            self._on_transition,
            limits=self.options.link,
            socket_limits=self.options.socket,
            policy=self.options.reconnect,
        )
        self.socket.on_unknown = self._ask_for_unknown
        self.events = AccountEvents(account, self._stream_state)
        self.pulse = asyncio.Event()
        self.opened_ns = self.mirror.last_fill_ns = time.time_ns()
        self.sends: OrderedDict[str, int] = OrderedDict()
        self.doubtful: set[str] = set()
        self._hook = reconcile_hook
        self._told_transition = on_transition
        self._fees: dict[str, Known[FeeSchedule]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._read_at_s = 0.0

    # ---- life --------------------------------------------------------------------------------------------

    async def open(self, timeout_s: float = 20.0) -> bool:
        """Read the instruments, connect, and wait until the private link is live. False: not in time; the
        connector goes on trying.
        """
        if not self.mirror.directory.instruments:
            await self.refresh_instruments()
        self._spawn(self._keep_instruments())
        self.socket.link.start()
        return await self.socket.link.wait_live(timeout_s)

    async def close(self) -> None:
        """End the connection and every stream. The timer at the venue stays as it is."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.socket.link.close()
        self.events.close()

    async def refresh_instruments(self) -> str:
        """Read Assets and AssetPairs again. "" when it worked, else why not (the old ones stay)."""
        pairs = await self.rest.public("AssetPairs")
        assets = await self.rest.public("Assets") if isinstance(pairs, bytes) else pairs
        for answer in (pairs, assets):
            if isinstance(answer, Failed):
                return answer.reason
        assert isinstance(pairs, bytes)
        assert isinstance(assets, bytes)
        try:
            self.mirror.directory = Directory.parse(assets, pairs, time.time_ns())
        except DecodeError as error:
            return str(error)
        self._read_at_s = time.monotonic()
        unknown = self.mirror.directory.unknown_states()
        if unknown or self.mirror.directory.quarantined:
            log.warning(
                "kraken_instruments_doubtful",
                unknown_states=len(unknown),
                quarantined=len(self.mirror.directory.quarantined),
            )
        return ""

    async def _keep_instruments(self) -> None:
        while True:
            age_s = time.monotonic() - self._read_at_s
            await asyncio.sleep(max(INSTRUMENT_REREAD_S, INSTRUMENT_REFRESH_S - age_s))
            await self.refresh_instruments()

    def filter_refused(self) -> None:
        """A refusal says that our rules may be old: read them again, at most once a minute (T2.3)."""
        if time.monotonic() - self._read_at_s > INSTRUMENT_REREAD_S:
            self._read_at_s = time.monotonic()

            async def again() -> None:
                await self.refresh_instruments()

            self._spawn(again())

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ---- what the venue says about itself ----------------------------------------------------------------

    def capabilities(self) -> VenueCaps:
        """What this connector does at Kraken spot."""
        return VenueCaps(
            name=self.name,
            order_types=frozenset({OrderType.LIMIT, OrderType.MARKET}),
            times_in_force=frozenset(TIMES_IN_FORCE),
            post_only=True,
            amend=True,
            client_ids=True,
            cancel_after_range_s=CANCEL_AFTER_RANGE_S,
            reduce_only=False,
            native_iceberg=False,
            max_batch_orders=1,
            private_fill_stream=True,
            sandbox=False,
        )

    async def instruments(self) -> list[Instrument] | Incomplete:
        """Every pair. Incomplete before the first reading, or while a pair could not be mapped."""
        directory = self.mirror.directory
        if not directory.instruments:
            problem = await self.refresh_instruments()
            directory = self.mirror.directory
            if problem:
                return Incomplete(problem, 0)
        return list(directory.instruments.values())

    async def status(self) -> VenueStatus:
        """The stricter of what REST and the WebSocket say; unknown while neither answers."""
        now_ns = time.time_ns()
        body = await self.rest.public("SystemStatus")
        reason, states = "", []
        if self.socket.link.can_send:
            states.append(self.socket.system)
        if isinstance(body, Failed):
            reason = f"SystemStatus: {body.reason}"
        else:
            word = _status_word(body)
            states.append(state_of(word))
            if states[-1] is not VenueState.ONLINE:
                reason = f"the venue says {word[:40]}"
        state = max(states, key=_STRICTNESS.index) if states else VenueState.UNKNOWN
        if self.socket.problems:
            reason = f"unmapped: {self.socket.problems[0]}"
        return VenueStatus(
            state=state, symbols=dict(self.mirror.directory.states), reason=reason, as_of_ns=now_ns
        )

    async def fees(self, account: str, symbol: str) -> Known[FeeSchedule] | Unknown:
        """The account's own fees of a pair, from TradeVolume."""
        if account != self.account:
            return Unknown(f"this connector is for another account than {account[:40]!r}")
        directory = self.mirror.directory
        name = directory.rest_names.get(symbol)
        if name is None:
            return Unknown(f"no pair {symbol[:40]!r}")
        cached = self._fees.get(symbol)
        now_ns = time.time_ns()
        if cached is not None and now_ns - cached.as_of_ns < FEE_AGE_S * NS:
            return cached
        answer = await self.rest.read("TradeVolume", TradeVolume, [("pair", name)])
        if isinstance(answer, Failed):
            return Unknown(f"TradeVolume: {answer.reason}")
        taker, maker = (
            _fee_bps(rows, directory, symbol) for rows in (answer.fees, answer.fees_maker or answer.fees)
        )
        if taker is None or maker is None:
            return Unknown(f"TradeVolume names no fee of {symbol}")
        known = Known(
            FeeSchedule(
                name=f"kraken {symbol}",
                maker_bps=maker,
                taker_bps=taker,
                source="TradeVolume of the account",
                checked_on=time.strftime("%Y-%m-%d", time.gmtime(now_ns // NS)),
            ),
            now_ns,
            "kraken TradeVolume",
        )
        self._fees[symbol] = known
        return known

    # ---- streams -----------------------------------------------------------------------------------------

    def market(self, symbols: Sequence[str]) -> AsyncIterator[FeedEvent]:
        """Market data of these pairs over a connection of its own; ends with the reader."""
        directory = self.mirror.directory
        chosen = [directory.instruments[one] for one in symbols if one in directory.instruments]
        return self._market(chosen)

    async def _market(self, chosen: list[Instrument]) -> AsyncIterator[FeedEvent]:
        if not chosen:
            return
        feed = KrakenFeed(chosen, self.options.endpoints, depth=self.options.book_depth)
        try:
            async for event in feed.events():
                yield event
        finally:
            await feed.close()

    def private(self, account: str) -> AsyncIterator[PrivateEvent]:
        """The account's events from now on, after the link's present state."""
        return self.events.of(account)

    def _stream_state(self) -> tuple[bool, str]:
        link = self.socket.link
        return link.live, f"{link.phase}: {link.reason}"

    def _on_event(self, event: PrivateEvent) -> None:
        if isinstance(event, OrderEvent):
            self._order_changed(event.state)
        self.events.put(event)
        self.pulse.set()

    def _order_changed(self, state: OrderState) -> None:
        """Keep the limiter's picture of working orders, whose age decides what a cancel costs."""
        key = state.client_id or state.venue_id
        if state.phase in FINAL_PHASES:
            self.rest.limits.gone(state.symbol, key)
        else:
            self.rest.limits.working(state.symbol, key, time.monotonic_ns())

    def _on_transition(self, transition: Transition) -> None:
        self.events.moved(transition.reason, transition.at_ns)
        log.info(
            "kraken_link",
            before=transition.before,
            after=transition.after,
            reason=transition.reason,
            epoch=transition.epoch,
        )
        self.pulse.set()
        if self._told_transition is not None:
            self._told_transition(transition)

    # ---- reconciliation (T6.8, T7.9) ---------------------------------------------------------------------

    async def _reconcile(self, epoch: int) -> str:
        """Bring the mirror up to the venue. "" or the reason why it is not complete."""
        if time.monotonic() - self._read_at_s > INSTRUMENT_REREAD_S:
            problem = await self.refresh_instruments()
            if problem and not self.mirror.directory.instruments:
                return f"instruments: {problem}"
        if self.socket.problems:
            return f"rows that cannot be mapped: {self.socket.problems[0]}"
        await self.socket.ping()  # the venue's time, before anything depends on it
        if self.socket.system is VenueState.UNKNOWN:  # the connection's own word on it was lost
            body = await self.rest.public("SystemStatus", cls=Priority.P2)
            if isinstance(body, Failed):
                return f"SystemStatus: {body.reason}"
            self.socket.system = state_of(_status_word(body))
        problem = await self._catch_up()
        if problem:
            return problem
        await self._adopt()
        if self.socket.first:
            self.socket.first = False
            for order in self.mirror.open():
                self._order_changed(order)
        return await self._hook(epoch) if self._hook is not None else ""

    async def _catch_up(self) -> str:
        """Executions that we missed, and the ends of orders that the snapshot does not show any more: asked
        for together, never assumed (T7.9).
        """
        snapshot = self.socket.snapshot_of
        facts = self._missed_facts()
        missing = self.mirror.missing(snapshot.open_ids)
        names = {one.order_id for one in facts or ()}
        known = self.history.known_orders(names, names - snapshot.open_ids)
        wanted = dict.fromkeys([*missing, *sorted(names - known.keys())])
        answer = await self.history.query(wanted) if wanted else Orders({})
        if isinstance(answer, Failed):
            return f"orders that are not open any more: {answer.reason}"
        if answer.problems:
            return f"orders that are not open any more: {answer.problems[0]}"
        if facts is None:
            told = await self.history.fills(self.mirror.last_fill_ns)
        else:
            told = with_remainders(facts, known | answer.rows)
        if isinstance(told, Incomplete):
            return f"executions: {told.reason}"
        for fact, client_id, rest in told:
            self.mirror.fill(fact, client_id, rest)
        return self._ended_orders(missing, answer)

    def _missed_facts(self) -> list[TradeFact] | None:
        """Executions that were not told yet. The snapshot tells the latest ones: while it reaches back to one
        that we know, or to the first of all, none is missing. None: they have to be asked for.
        """
        snapshot = self.socket.snapshot_of
        if self.socket.first:
            self.mirror.remember_fills(snapshot.trade_ids)  # from before our time: `fills` lists them
            return []
        missed = {one for one in snapshot.trade_ids if not self.mirror.knows_fill(one)}
        reaches = len(missed) < len(snapshot.trade_ids) or len(snapshot.trade_ids) < SNAPSHOT_TRADES
        if not reaches or not missed <= snapshot.facts.keys():
            return None
        return sorted((snapshot.facts[one] for one in missed), key=lambda one: (one.time_ns, one.trade_id))

    def _ended_orders(self, missing: list[str], answer: Orders) -> str:
        for venue_id in missing:
            state, known = answer.rows.get(venue_id), self.mirror.working.get(venue_id)
            if state is not None:
                self.mirror.apply(state)
            elif known is None:
                continue  # it ended, or was proven absent, while we asked
            elif self._proves_absence(known.client_id):
                self.mirror.forget(venue_id)
            else:
                return f"order {venue_id} is neither open nor known"
        return ""

    def _ask_for_unknown(self) -> None:
        self._spawn(self._adopt())

    async def _adopt(self) -> None:
        """Orders that a row named without describing them."""
        wanted, self.socket.unknown_orders[:] = list(self.socket.unknown_orders), []
        if not wanted:
            return
        answer = await self.history.query(wanted)
        if isinstance(answer, Orders):
            for state in answer.rows.values():
                self.mirror.apply(state)

    # ---- looking -----------------------------------------------------------------------------------------

    def facts(self) -> ConnectorFacts:
        """Counters and gauges as they are now."""
        socket, offset = self.socket, self.socket.clock.offset()
        return ConnectorFacts(
            phase=socket.link.phase,
            reason=socket.link.reason,
            outage_s=socket.link.outage_s,
            reconnects=socket.link.reconnects,
            bad_frames=socket.link.bad_frames,
            late_replies=socket.link.late_replies,
            gaps=socket.gaps,
            repeated_messages=socket.repeated_messages,
            unmapped_rows=self.history.unmapped_rows + len(socket.problems),
            unknown_words=dict(self.mirror.unknown_words),
            repeated_fills=self.mirror.repeated_fills,
            working_orders=len(self.mirror.working),
            doubtful_orders=len(self.doubtful),
            server_errors=self.rest.server_errors,
            isolated=self.rest.isolators.blocked,
            clock_offset_ns=None if offset is None else offset.offset_ns,
            instruments=len(self.mirror.directory.instruments),
            quarantined_rows=len(self.mirror.directory.quarantined),
            control_age_s=(time.monotonic_ns() - socket.control_proof_ns) / NS,
        )

    # ---- reads -------------------------------------------------------------------------------------------

    async def query(self, reference: OrderRef) -> QueryResult:
        """One order by our id. An end that the venue has told is not asked for again. Absence is proven only
        behind the horizon of its latest submit (T7.6); before that the stream is the first to tell, and where
        points are short nothing is asked.
        """
        unheard = self.mirror.find(reference.client_id) is None and self.socket.link.live
        if unheard and self._early(reference.client_id) and self._short():
            return Uncertain("points are kept for the question that proves something", time.time_ns())
        return await self.look(reference)

    async def look(self, reference: OrderRef) -> QueryResult:
        """The same, asked whatever it costs."""
        client_id = reference.client_id
        known = self.mirror.find(client_id)
        if known is not None and known.phase in FINAL_PHASES:
            return Found(known)
        proven = self._proves_absence(client_id)
        found = await self._looked_for(reference, known)
        if found is not None:
            return found
        now_known = self.mirror.find(client_id)
        if now_known is not None and now_known is not known:
            return Found(now_known)  # the stream was faster
        if proven and known is not None:
            self.mirror.forget(known.venue_id)
        return NotFound(proven)

    async def _looked_for(self, reference: OrderRef, known: OrderState | None) -> QueryResult | None:
        """The order in the venue's lists: open ones first, because an open order may end meanwhile. Those
        that have ended are asked for when that can decide, and the venue has not named the order yet: under
        a name that it gave, its own answer says whether there is one. None: it is in none of them.
        """
        client_id = reference.client_id
        early = self._early(client_id)
        venue_id = known.venue_id if known is not None else reference.venue_id
        if venue_id:
            found = self._found(await self.history.query([venue_id]), client_id, {client_id, ""})
            if found is not None or (early and known is not None):
                return found
        found = self._found(await self.history.open_orders(), client_id, {client_id})
        if found is None and not early and known is None:
            ended = await self.history.ended_order(client_id, self.sends.get(client_id, 0))
            found = self._found(ended, client_id, {client_id})
        return found

    def _early(self, client_id: str) -> bool:
        """Whether this id was sent so lately that nothing can be proven about it yet."""
        return client_id in self.sends and not self._proves_absence(client_id)

    def _short(self) -> bool:
        """Whether a quarter of what REST allows is used up."""
        points, most = self.rest.limits.levels(time.monotonic_ns())["rest"]
        return points * 4 > most

    @property
    def horizon_ns(self) -> int:
        """How long after a submit the venue may still accept it, with every margin."""
        options = self.options
        return int((options.deadline_s + options.absence_margin_s + options.clock_skew_s) * NS)

    def _proves_absence(self, client_id: str) -> bool:
        return time.time_ns() >= self.sends.get(client_id, self.opened_ns) + self.horizon_ns

    def _found(self, answer: Orders | Failed, client_id: str, names: set[str]) -> QueryResult | None:
        """The order among these; its row names one of `names`."""
        if isinstance(answer, Failed):
            return Uncertain(answer.reason, time.time_ns())
        matching = [one for one in answer.rows.values() if one.client_id in names]
        if matching:
            latest = max(matching, key=lambda one: (one.phase not in FINAL_PHASES, one.updated_ns))
            if not latest.client_id:
                latest = msgspec.structs.replace(latest, client_id=client_id)
            self.doubtful.discard(client_id)
            self.mirror.apply(latest)
            return Found(latest)
        return Uncertain(answer.problems[0], time.time_ns()) if answer.problems else None

    async def open_orders(self, symbol: str | None) -> list[OrderState] | Incomplete:
        """Every open order at the venue, ours or not."""
        answer = await self.history.open_orders()
        if isinstance(answer, Failed):
            return Incomplete(answer.reason, 0)
        if answer.problems:
            return Incomplete("; ".join(answer.problems)[:200], len(answer.rows))
        return [one for one in answer.rows.values() if symbol in {None, one.symbol}]

    async def fills(self, since_sequence: int) -> list[FillEvent] | Incomplete:
        """Executions since a sequence (a time in ns) less a minute: sequences of stream and list differ by
        the venue's rounding of times.
        """
        return await self.history.fill_events(since_sequence)

    async def balances(self) -> list[Balance] | Incomplete:
        """Balances with what orders hold, from BalanceEx; staked and other variants are not in it."""
        answer = await self.rest.read("BalanceEx", dict[str, msgspec.Raw])
        if isinstance(answer, Failed):
            return Incomplete(answer.reason, 0)
        rows, problems = balance_rows(answer, self.mirror.directory, time.time_ns())
        if problems:
            return Incomplete("; ".join(problems)[:200], len(rows))
        return rows

    def stream_balances(self) -> list[Balance] | None:
        """Balances as the private stream has told them, as of its last sign of life; None while it is not
        live, or has told none.
        """
        link = self.socket.link
        age_s = link.socket.frame_age_s()
        if not link.live or age_s is None or not self.mirror.totals:
            return None
        as_of_ns = time.time_ns() - int(age_s * NS)
        rows = []
        for asset, total in self.mirror.totals.items():
            held = min(self.mirror.held(asset), max(total, Decimal(0)))
            rows.append(Balance(asset=asset, free=total - held, held=held, as_of_ns=as_of_ns))
        return rows


_STRICTNESS = (
    VenueState.ONLINE,
    VenueState.LIMIT_ONLY,
    VenueState.POST_ONLY,
    VenueState.REDUCE_ONLY,
    VenueState.CANCEL_ONLY,
    VenueState.UNKNOWN,
    VenueState.MAINTENANCE,
    VenueState.DELISTED,
)


class _StatusBody(msgspec.Struct, gc=False):
    error: list[str]
    result: SystemStatus | None = None


def _status_word(body: bytes) -> str:
    try:
        answer = msgspec.json.decode(body, type=_StatusBody)
    except UNREADABLE:
        return "unreadable"
    return answer.result.status if answer.result is not None else "error"


def _fee_bps(rows: dict[str, FeeRow], directory: Directory, symbol: str) -> Decimal | None:
    """The fee of a pair, whose key may be any of its names; percent to basis points."""
    for name, row in rows.items():
        try:
            if directory.symbol_of(name) == symbol:
                return row.fee * 100
        except UnknownSymbol:
            continue
    return None
