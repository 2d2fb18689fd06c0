"""`TraderService`: market data in, intents through risk, orders out, fills into the ledger; everything
journaled.

One owner calls it in turn with the venue (see `session.Session`). A step is: apply what happened, let the
strategy wish, check every wish with risk, journal what passed in one block, only then send it.
"""

from __future__ import annotations

import contextlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

from tradewind.venues.market_data import (
    FeedEvent,
    Instrument,
    Known,
    TradePrint,
    Unknown,
)
from tradewind.venues.paper.port import Port
from tradewind.venues.paper.venue import PaperVenue
from tradewind.venues.paper.wire import BatchLike, stream_notes
from tradewind.venues.protocol import FeeSchedule, FillEvent, FundsEvent, OrderEvent, PrivateEvent

from . import resuming, risk_view, view
from .decisions import Decisions
from .hosting.books import StrategyBooks
from .hosting.host import Hosted, ManifestError, StrategyHost
from .hosting.hosts import Hosts
from .ledger import Ledger, LedgerError
from .marks import Marks
from .oms import Identity, Oms
from .orders import ManagedOrder
from .reconcile import Difference, reconcile
from .records import (
    TRADER_STREAM,
    AmendRequest,
    CancelRequest,
    DayBase,
    HighWater,
    Intent,
    Latch,
    OrderNote,
    Reconciliation,
    Record,
    decode,
    encode,
)
from .risk.check import Denied, Path, RiskModule, Working
from .risk.loss import LossGuard, next_day_ns
from .risk.profile import Profile
from .risk.state import ACCOUNT, StateTable, TradingState, strategy_scope, symbol_scope, venue_scope
from .risk_desk import RiskDesk
from .strategy import (
    CancelIntent,
    SizeRequest,
    Strategy,
    StrategyIntent,
    code_hash,
)
from .volumes import Volumes
from .wish import Alarm, Wish

SECOND_NS = 1_000_000_000
FAR_NS = 2**63 - 1
DEAD_MAN_REFRESH_S = 20
RECONCILE_EVERY_S = 60
CONVERGENCE_NS = 2 * SECOND_NS
MAX_RECENT_FILLS = 500
MAX_ALARMS = 200
MANUAL = "manual"
SUSPENSE = "suspense"
"""Who holds what was filled for an order that nobody knows."""


Sizer = Callable[[str, SizeRequest], tuple[int, str]]
"""Strategy and request to lots, or 0 and the reason (T12)."""


def _no_sizer(strategy: str, request: SizeRequest) -> tuple[int, str]:
    return 0, "no sizing is attached to this trader"


class Checkpointed(Protocol):
    """Something that a checkpoint must restore, besides what the service keeps itself."""

    def take(self) -> Any:
        """The state now, as something msgspec encodes."""

    def load(self, data: bytes) -> None:
        """Become what `data`, the JSON of an earlier `take`, says. Raises `msgspec.DecodeError`."""


class TraderService:
    """The trader of one account at one venue with one strategy."""

    def __init__(
        self,
        venue: PaperVenue,
        port: Port,
        profile: Profile,
        strategy: Strategy | None = None,
        *,
        strategies: Sequence[Hosted] = (),
        outside: Mapping[str, Instrument] | None = None,
        environment: str = "paper",
        epoch: int = 1,
        seed: int = 1,
    ) -> None:
        self.venue = venue
        self.port = port
        self.profile = profile
        hosted = [*([] if strategy is None else [Hosted(strategy=strategy)]), *strategies]
        self.ledger = Ledger()
        self.loss = LossGuard(profile.limits)
        self.states = StateTable()
        self.risk = RiskModule(profile.limits, self.loss)
        identity = Identity(
            environment=environment,
            account="trader",
            venue=venue.name,
            epoch=epoch,
            limits_hash=profile.hash,
            config_hash=code_hash(hosted[0].strategy) if hosted else "",
        )
        instruments = {symbol: market.setup.instrument for symbol, market in venue.markets.items()}
        self.oms = Oms(identity, instruments, self.ledger)
        self.marks = Marks(venue, self.ledger, profile.account.currency)
        self.fees: Known[FeeSchedule] | Unknown = Unknown("not read yet")
        self.balances_as_of_ns: int | None = None
        self.recent_fills: deque[FillEvent] = deque(maxlen=MAX_RECENT_FILLS)
        self.alarms: deque[Alarm] = deque(maxlen=MAX_ALARMS)
        self.counts: Counter[str] = Counter()
        self.reconciled: Reconciliation | None = None
        self.running = False
        self.decisions = Decisions(self)
        self.rules = {symbol: market.setup.rules for symbol, market in venue.markets.items()}
        self.worst_cases: dict[str, tuple[tuple[object, ...], Working]] = {}
        self.volumes = Volumes()
        self.sizer: Sizer = _no_sizer
        self.on_second: list[Callable[[int], None]] = []
        self.on_fill_hooks: list[Callable[[ManagedOrder, FillEvent], None]] = []
        self.on_order_hooks: list[Callable[[ManagedOrder], None]] = []
        self.on_market_hooks: list[Callable[[FeedEvent], None]] = []
        self.fold_hooks: list[Callable[[Record], None]] = []
        self.checkpointed: dict[str, Checkpointed] = {}
        """What a checkpoint restores besides, by name."""
        self.planned: Callable[[], list[Working]] = list
        """What parent orders have not placed yet; risk counts it in every worst case (T11.1)."""
        self.intent_handlers: dict[type, Callable[[str, Any], None]] = {}
        self.books = StrategyBooks(self.oms.instruments)
        self.checkpointed["books"] = self.books
        self.hosts = Hosts(self, hosted, outside or {}, seed)
        self._differs_since_ns: int | None = None
        self.dead_man_until_ns = 0
        """Until then the venue cancels our orders if we fall silent."""
        self.risk_desk = RiskDesk(self)
        self._latest_ns = 0
        self._next_second_ns = 0
        self._next_dead_man_ns = 0
        self._next_reconcile_ns = 0
        venue.subscribe(self._on_private)

    # ---- life --------------------------------------------------------------------------------------

    async def recover(self, batches: Iterable[BatchLike]) -> int:
        """Rebuild everything from the log; returns the number of batches. Call once, before `start`."""
        count = 0
        for batch in batches:
            for _, payload in stream_notes(batch, TRADER_STREAM):
                self._fold(decode(payload))
            for event in self.venue.replay(batch):
                self._apply_private(event)
            count += 1
        return count

    async def start(self) -> list[Difference]:
        """Resolve what was in flight, reconcile, then let the strategy begin. A difference leaves
        ReduceOnly.
        """
        now_ns = self.port.now_ns()
        await self._read_fees()
        self.risk_desk.recovered()
        resuming.resolve(self, now_ns)
        await self.decisions.flush()
        differences = await self.check_ledger()
        self._next_second_ns = now_ns
        self.running = True
        resuming.cancel_orphans(self)
        self.hosts.start(self.now_ns())
        await self.step()
        return differences

    async def stop(self) -> list[str]:
        """Orderly stop: the strategy's last word, then cancel what is left. Returns ids that are
        still open.
        """
        if self.running:
            self.hosts.stop()
        self.running = False
        await self.step()
        await self.venue.cancel_all(None, self.oms.identity.epoch)
        return [order.client_id for order in await self.venue.open_orders(None)]

    async def _read_fees(self) -> None:
        """The account's fees; unknown as soon as one of its markets is not charged by them."""
        for symbol in self.venue.markets:
            self.fees = await self.venue.fees("trader", symbol)
            if not isinstance(self.fees, Known):
                return

    # ---- events in ---------------------------------------------------------------------------------

    def wants(self, symbol: str, kind: str) -> bool:
        """Whether `book`, `trades` or `bars` of a symbol have to be told: somebody asks for it."""
        return bool(self.on_market_hooks) or self.hosts.wants(symbol, kind)

    def next_due_ns(self) -> int:
        """When `step` has something to do next if nothing happens before."""
        return min(self._next_second_ns, self.hosts.next_timer_ns) if self.running else FAR_NS

    async def on_market(self, event: FeedEvent) -> None:
        """A market event, after the venue has mirrored it."""
        if type(event) is TradePrint:
            self.printed(event.symbol, event.quantity_lots, self.port.now_ns())
        if self.on_market_hooks:
            for hook in self.on_market_hooks:
                hook(event)
        if self.running:
            self.hosts.on_event(event)
        if self.decisions.pending or self.port.now_ns() >= self.next_due_ns():
            await self.step()

    def printed(self, symbol: str, outside_lots: int, at_ns: int) -> None:
        """Public trades of a symbol, in the venue's lots."""
        market = self.venue.markets.get(symbol)
        if market is not None:
            self.volumes.add(symbol, outside_lots, market.setup.mirror.lots_ratio, at_ns)

    def _on_private(self, event: PrivateEvent) -> None:
        """From the venue's private stream, live."""
        order = self._apply_private(event)
        if order is None:
            return
        fill = event if isinstance(event, FillEvent) else None
        if fill is not None:
            self._mark()
            for on_fill in self.on_fill_hooks:
                on_fill(order, fill)
        for on_order in self.on_order_hooks:
            on_order(order)
        if self.running:
            self.hosts.on_private(order, fill)

    def _apply_private(self, event: PrivateEvent) -> ManagedOrder | None:
        """Fold one private event; the same code live and in recovery."""
        match event:
            case FillEvent():
                try:
                    order = self.oms.on_fill(event)
                except LedgerError as error:
                    self._halt_for("overfill", str(error))
                    return None
                self.recent_fills.append(event)
                self._book(order, event)
                if self.oms.overfill:
                    self._halt_for("overfill", self.oms.overfill)
                if order is None and self.oms.stats.suspense:
                    self._halt_for("suspense", f"fill {event.trade_id} of an unknown order")
                if order is not None:
                    self.trim(order)
                    self.risk_desk.filled(order, event)
                return order
            case OrderEvent():
                order = self.oms.on_order_event(event)
                if order is not None:
                    self.trim(order)
                    self.risk_desk.ended(order)
                return order
            case FundsEvent():
                self.ledger.deposit(event.asset, event.amount)
                if event.asset == self.profile.account.currency:
                    self.loss.flow(event.amount)
        return None

    def _book(self, order: ManagedOrder | None, event: FillEvent) -> None:
        """Attribute an execution that was booked to the strategy whose order it was. A duplicate of a known
        order has no order here; one of an unknown order belongs to nobody.
        """
        if order is not None:
            self.books.on_fill(order.intent.strategy, event)
        elif self.oms.suspense and self.oms.suspense[-1] is event:
            self.books.on_fill(SUSPENSE, event)

    def now_ns(self) -> int:
        """The present moment; for strategies it never goes back, whatever the clock does."""
        self._latest_ns = max(self._latest_ns, self.port.now_ns())
        return self._latest_ns

    async def step(self) -> None:
        """Timers, then every wish that has come up, until nothing is left to do."""
        if self.running:
            now_ns = self.now_ns()
            if now_ns >= self._next_second_ns:
                self._next_second_ns = now_ns + SECOND_NS
                await self._each_second(now_ns)
            if now_ns >= self.hosts.next_timer_ns:
                self.hosts.on_time(now_ns)
        if self.decisions.pending:
            await self.decisions.flush()

    async def _each_second(self, now_ns: int) -> None:
        await self._read_balances(now_ns)
        self._mark()
        for hook in self.on_second:
            hook(now_ns)
        self.hosts.on_second(now_ns)
        if self.profile.account.dead_man == "timer" and now_ns >= self._next_dead_man_ns:
            self._next_dead_man_ns = now_ns + DEAD_MAN_REFRESH_S * SECOND_NS
            await self.venue.cancel_after(self.profile.account.dead_man_s, self.oms.identity.epoch)
            self.dead_man_until_ns = now_ns + self.profile.account.dead_man_s * SECOND_NS
        if now_ns >= self._next_reconcile_ns and not self.venue.in_flight_count:
            self._next_reconcile_ns = now_ns + RECONCILE_EVERY_S * SECOND_NS
            await self.check_ledger()

    # ---- wishes: risk, journal, send ---------------------------------------------------------------

    def wish(
        self,
        strategy: str,
        path: Path,
        intent: StrategyIntent,
        verdict: Callable[[list[Denied], str | None], None] | None = None,
    ) -> None:
        """Queue an intent of now; `verdict` hears the denials, or the client id it became, at the next step.

        Raises `OverflowError` when too many are waiting.
        """
        self.decisions.wish(Wish(strategy, path, intent, self.port.now_ns(), verdict))

    def record(self, *records: Record) -> None:
        """Append records to the next block of the journal."""
        self.decisions.records.extend(records)

    async def submit(
        self, intent: StrategyIntent, *, path: Path = Path.MANUAL, strategy: str = MANUAL
    ) -> tuple[list[Denied], str | None]:
        """An order, amend or cancel from outside the strategy: the same risk, the same journal.

        Returns the denials, or the client id it became. Being accepted here means journaled and handed over,
        not filled: read the order's state.
        """
        verdicts: list[tuple[list[Denied], str | None]] = []
        self.wish(strategy, path, intent, lambda *verdict: verdicts.append(verdict))
        await self.step()
        return verdicts[0]

    def denied(self, wish: Wish, now_ns: int) -> None:
        """A wish was denied; too many of them within a minute halt its strategy (T11.9)."""
        storm = self.risk.denial_storm(wish.strategy, now_ns)
        if storm is not None and wish.path is Path.STRATEGY:
            host = self.hosts.by_name.get(wish.strategy)
            if host is not None:
                self.hosts.fault(host, f"more than the allowed denials per minute: {storm}")

    def journal_stopped(self, reason: str) -> None:
        """The journal takes nothing any more: halt the account."""
        self.alarm(f"the journal is stopped: {reason}")
        self.states.trip(
            ACCOUNT,
            "journal",
            TradingState.HALTED,
            reason=reason,
            actor="trader",
            now_ns=self.port.now_ns(),
        )

    # ---- loss, states, faults ----------------------------------------------------------------------

    def _mark(self) -> None:
        """Value the account now and act on what the mark says (T11.5, T11.6)."""
        equity = self.marks.equity()
        if not isinstance(equity, Known):
            return
        now_ns = self.port.now_ns()
        record = self.loss.mark(equity.value, self.strategy_pnl(), now_ns)
        if record is not None:
            self.record(record)
        if self.loss.tripped(equity.value):
            loss, limit = self.loss.loss(equity.value), self.loss.limit
            self.trip(
                ACCOUNT,
                "daily_loss",
                TradingState.HALTED,
                f"loss of the day {loss} is beyond {limit}",
                not_before_ns=next_day_ns(now_ns),
            )
        if self.loss.step >= 3:
            level = TradingState.HALTED if self.loss.step >= 4 else TradingState.REDUCE_ONLY
            self.trip(ACCOUNT, "drawdown", level, f"drawdown step {self.loss.step}")

    def trip(
        self, scope: str, cause: str, level: TradingState, reason: str, *, not_before_ns: int = 0
    ) -> None:
        """Restrict a scope, tell the operator, and cancel its orders when it is halted."""
        latch = self.states.trip(
            scope,
            cause,
            level,
            reason=reason,
            actor="trader",
            now_ns=self.port.now_ns(),
            not_before_ns=not_before_ns,
        )
        if latch is None:
            return
        self.record(latch)
        self.alarm(f"{scope} {level.name}: {reason}")
        if level is TradingState.HALTED:
            self._cancel_scope(scope, cause)

    def _cancel_scope(self, scope: str, reason: str) -> None:
        for order in self.oms.working():
            if scope in {ACCOUNT, strategy_scope(order.intent.strategy), symbol_scope(order.intent.symbol)}:
                cancel = CancelIntent(client_id=order.client_id, reason=reason)
                self.wish(order.intent.strategy, Path.MANUAL, cancel)

    def _halt_for(self, cause: str, reason: str) -> None:
        self.trip(ACCOUNT, cause, TradingState.HALTED, reason)

    def halt_strategy(self, name: str, cause: str, reason: str) -> None:
        """Halt one strategy and cancel its orders; the others trade on."""
        self.trip(strategy_scope(name), cause, TradingState.HALTED, reason)

    async def resume_strategy(self, name: str, actor: str, reason: str) -> None:
        """Clear what halts one strategy and begin it again, fresh.

        Raises `UnknownStrategy`, `LatchError` (no reason given, or too early), `ManifestError` (it cannot be
        built again; then it stays halted), `PortStopped`.
        """
        host = self.hosts.find(name)
        scope = strategy_scope(name)
        cleared: list[Latch] = []
        for latch in self.states.active():
            if latch.scope == scope:
                cleared.append(
                    self.states.clear(
                        scope, latch.cause, reason=reason, actor=actor, now_ns=self.port.now_ns()
                    )
                )
        await self.journal(*cleared)
        self._restart(host)
        await self.step()

    def _restart(self, host: StrategyHost) -> None:
        try:
            self.hosts.resume(host)
        except ManifestError as error:
            self.halt_strategy(host.name, "fault", str(error))
            raise

    @property
    def strategy_error(self) -> str | None:
        """Why a strategy is halted, of the first one that is; None while all run."""
        return next((host.error for host in self.hosts if host.error is not None), None)

    @strategy_error.setter
    def strategy_error(self, value: None) -> None:
        """An operator resumes: every halted strategy begins again, fresh."""
        for host in self.hosts:
            if host.error is not None:
                with contextlib.suppress(ManifestError):
                    self._restart(host)

    @property
    def strategy(self) -> Strategy:
        """The first strategy."""
        return next(iter(self.hosts)).strategy

    @property
    def name(self) -> str:
        """The name of the first strategy."""
        return next(iter(self.hosts)).name

    @property
    def symbol(self) -> str:
        """The first symbol of the first strategy."""
        return next(iter(self.hosts)).symbols[0]

    def alarm(self, text: str) -> None:
        """Tell the operator."""
        self.alarms.append(Alarm(self.port.now_ns(), text))

    @property
    def has_pending(self) -> bool:
        """Whether an intent, a record or a request waits to be handled."""
        return self.decisions.pending

    def state(self, strategy: str | None = None, symbol: str | None = None) -> TradingState:
        """The most restrictive state for a strategy and a symbol of this account; without them that of the
        account and the venue.
        """
        scopes = [venue_scope(self.venue.name)]
        if strategy is not None:
            scopes.append(strategy_scope(strategy))
        if symbol is not None:
            scopes.append(symbol_scope(symbol))
        return self.states.effective(*scopes)

    # ---- ledger and venue --------------------------------------------------------------------------

    async def reconcile(self) -> list[Difference]:
        """Differences between our ledger and orders and the venue's; empty when equal to the last
        micro-unit.
        """
        return await reconcile(self.venue, self.ledger, self.oms)

    async def check_ledger(self) -> list[Difference]:
        """Reconcile, journal the result, and restrict the account while it is not clean."""
        differences = await self.reconcile()
        now_ns = self.port.now_ns()
        clean = not differences
        changed = self.reconciled is None or self.reconciled.clean != clean
        self.reconciled = Reconciliation(
            clean=clean, differences=[str(one) for one in differences], at_ns=now_ns
        )
        if changed:
            self.record(self.reconciled)
        if clean:
            self.balances_as_of_ns = now_ns
        else:
            self.trip(ACCOUNT, "reconciliation", TradingState.REDUCE_ONLY, str(differences[0]))
        return differences

    async def _read_balances(self, now_ns: int) -> None:
        """Proof of life of the balances: the venue's equal the ledger's, or differ only by what is in
        flight.
        """
        if self.venue.stopped_reason is not None:
            return
        differences = [one for one in await self.reconcile() if one.what.startswith("total ")]
        if not differences:
            self._differs_since_ns = None
            self.balances_as_of_ns = now_ns
            return
        if self._differs_since_ns is None:
            self._differs_since_ns = now_ns
        if now_ns - self._differs_since_ns <= CONVERGENCE_NS:
            self.balances_as_of_ns = now_ns
        else:
            self.trip(ACCOUNT, "reconciliation", TradingState.REDUCE_ONLY, str(differences[0]))

    def trim(self, order: ManagedOrder) -> None:
        """Hold only what the order needs now."""
        self.oms.trim_reservation(order, self.taker_rate())

    def taker_rate(self) -> Decimal:
        """The taker rate that reservations count with."""
        return (
            self.fees.value.taker_rate if isinstance(self.fees, Known) else self.venue.setup.fees.taker_rate
        )

    def strategy_pnl(self) -> dict[str, Decimal]:
        """Net profit per strategy and of manual orders, account currency. Missing marks: what is realised."""
        return {
            name: self.books.net(name, self.marks.mid)
            for name in {**self.hosts.by_name, **dict.fromkeys(self.books.names())}
        }

    # ---- recovery ----------------------------------------------------------------------------------

    def _fold(self, record: Record) -> None:
        for hook in self.fold_hooks:
            hook(record)
        match record:
            case Intent() | AmendRequest() | CancelRequest() | OrderNote():
                self.oms.apply(record)
            case DayBase() | HighWater():
                self.loss.apply(record)
            case Latch():
                self.states.apply(record)
            case Reconciliation():
                self.reconciled = record
            case _:
                pass

    async def journal(self, *records: Record) -> None:
        """Append records of the operator's acts, durably."""
        await self.port.submit([], [encode(record) for record in records])

    # ---- views -------------------------------------------------------------------------------------

    def snapshot(self, *, max_fills: int = 100) -> view.TraderSnapshot:
        """Everything a console shows: states, limits as gauges, positions, profit, orders, fills, ages."""
        return view.snapshot(self, max_fills=max_fills)

    def volume_5m_lots(self, symbol: str) -> int | None:
        """Lots traded in public in the last five minutes; None before that much was seen."""
        return self.volumes.lots(symbol, self.port.now_ns())

    def snapshot_for_risk(
        self, *, strategy: str | None = None, symbol: str | None = None, replaces: str | None = None
    ) -> risk_view.Snapshot:
        """Everything that risk looks at."""
        return risk_view.snapshot(self, strategy or self.name, symbol or self.symbol, replaces)
