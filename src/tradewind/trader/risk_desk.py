"""Risk on a running trader: what it has to see every second and at every fill, and what sizes come from.

`RiskDesk` joins the parts of `trader.risk` to one `TraderService` through its hooks: total loss, warnings,
behaviour, correlation, limits that change, sizes and the cost gate. It decides nothing that a rule does not.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from tradewind.venues.market_data import Known, Side, Unknown
from tradewind.venues.protocol import FillEvent

from .cost_gate import CostGate
from .orders import ManagedOrder, State
from .records import AmendRequest, Intent, Record
from .risk.behaviour import Actor
from .risk.changes import LimitBook
from .risk.correlation import BadMatrix, hourly_returns, measure
from .risk.correlation_store import CorrelationStore
from .risk.groups import AverageStep, Groups
from .risk.model import Order, Path, Snapshot
from .risk.profile import Limits
from .risk.records import BehaviourEvent, LimitChange, StageStart
from .risk.sizing import Size, SizeInputs, depth_within, size
from .risk.state import ACCOUNT, TOTAL_LOSS, TradingState
from .strategy import SizeRequest

if TYPE_CHECKING:
    from .service import TraderService

ZERO = Decimal(0)
HOUR_NS = 3_600 * 10**9
KEPT_HOURS = 31 * 24
MAX_SYMBOLS = 64
DEPTH_LEVELS = 20
FACTOR_BASE = "BTC"
STOP_TAG = "stop"
"""The tag of an order that leaves a position at its stop begins with this."""


class RiskState(msgspec.Struct, kw_only=True):
    """What a checkpoint keeps."""

    stage: StageStart | None
    warned_pct: int
    actors: dict[str, Actor]
    limits: dict[str, str]
    waiting: list[LimitChange]
    prices: dict[str, dict[int, float]]
    realised: dict[str, Decimal]


class RiskDesk:
    """Everything of risk that outlives a single check, for one trader."""

    def __init__(self, trader: TraderService) -> None:
        self.trader = trader
        self.behaviour = trader.risk.behaviour
        self.book = LimitBook(trader.profile.limits)
        node = getattr(trader.port, "node", None)
        folder = node.journal_path.parent / "trader" / "correlation" if node is not None else None
        self.correlation = CorrelationStore(folder)
        self.correlation_problem = self.correlation.problem
        self.groups = self._groups(0)
        self.stage_multiplier = Decimal(1)
        self.cost_gate = CostGate()
        self.last_sizes: dict[str, Size] = {}
        self._prices: dict[str, dict[int, float]] = {}
        self._realised: dict[str, Decimal] = {}
        self._hour = 0
        self.behaviour.quoting.update(host.name for host in trader.hosts if host.manifest.quotes)
        trader.risk.cost_gate = self.cost_gate
        trader.sizer = self.size
        trader.states.much_at_stake = self.much_at_stake
        trader.on_second.append(self._each_second)
        trader.on_fill_hooks.append(lambda _order, _fill: self._look_at_losses(trader.port.now_ns()))
        trader.fold_hooks.append(self._fold)
        trader.checkpointed["risk"] = self

    # ---- what a check sees -------------------------------------------------------------------------

    def volumes(self, now_ns: int) -> dict[str, Known[Decimal] | Unknown]:
        """Public volume of five minutes in base units, as far as it was watched: at most what there was."""
        found: dict[str, Known[Decimal] | Unknown] = {}
        for symbol, instrument in self.trader.oms.instruments.items():
            lots = self.trader.volumes.seen(symbol, now_ns)
            if lots is None:
                found[symbol] = Unknown("no public trade was read yet")
            else:
                found[symbol] = Known(instrument.lot * lots, now_ns, self.trader.venue.name)
        return found

    def attended(self, now_ns: int) -> bool:
        """Whether a timer at the venue cancels our orders when we fall silent (T8.1)."""
        return self.trader.profile.account.dead_man == "timer" and now_ns < self.trader.dead_man_until_ns

    def much_at_stake(self) -> bool:
        """Whether resets need two people (T11.4). Unknown equity counts as much."""
        equity = self.trader.marks.equity()
        bound = self.trader.profile.account.dual_control_quote
        return not isinstance(equity, Known) or equity.value > bound

    # ---- sizes -------------------------------------------------------------------------------------

    def size(self, strategy: str, request: SizeRequest) -> tuple[int, str]:
        """Lots, or 0 and the reason (T12)."""
        found = self.size_of(strategy, request)
        self.last_sizes[strategy] = found
        return found.lots, found.reason

    def size_of(self, strategy: str, request: SizeRequest) -> Size:
        """The size with every cap."""
        trader = self.trader
        instrument = trader.oms.instruments[request.symbol]
        snapshot = trader.snapshot_for_risk(strategy=strategy, symbol=request.symbol)
        order = Order(
            strategy=strategy, path=Path.STRATEGY, symbol=request.symbol, base=instrument.base,
            quote=instrument.quote, side=request.side, price=instrument.tick * request.price_ticks,
            quantity=ZERO, decision_ns=snapshot.now_ns, stop=instrument.tick * request.stop_ticks,
            edge_bps=request.edge_bps, venue=trader.venue.name,
        )  # fmt: skip
        position = trader.ledger.positions.get(request.symbol)
        average = None if position is None or not position.lots else position.cost / position.quantity
        inputs = SizeInputs(
            instrument=instrument,
            depth_quote=self._depth(request, snapshot),
            average_price=average,
            averages_down=self._averages_down(strategy),
            multipliers=self.multipliers(strategy, snapshot.now_ns),
        )
        return size(order, snapshot, trader.risk.limits, inputs)

    def multipliers(self, strategy: str, now_ns: int) -> dict[str, Decimal]:
        """What sizes are multiplied with, by reason."""
        return {
            "drawdown": self.trader.loss.size_multiplier,
            "correlation": self.groups.size_multiplier,
            "behaviour": self.behaviour.size_multiplier(strategy, now_ns),
            "stage": self.stage_multiplier,
        }

    def multiplier(self, strategy: str) -> Decimal:
        """The product of all multipliers now."""
        product = Decimal(1)
        for factor in self.multipliers(strategy, self.trader.port.now_ns()).values():
            product *= factor
        return product

    def _depth(self, request: SizeRequest, snapshot: Snapshot) -> Decimal | None:
        market, top = self.trader.venue.markets[request.symbol], snapshot.tops.get(request.symbol)
        if not market.live or not isinstance(top, Known):
            return None
        instrument, other = market.setup.instrument, Side(1 - request.side)
        levels = [
            (instrument.tick * ticks, instrument.lot * lots)
            for ticks, lots in market.mirror.top(other, DEPTH_LEVELS)
        ]
        return depth_within(levels, request.side, top.value.mid, self.trader.risk.limits.price_collar_bps)

    def _averages_down(self, strategy: str) -> bool:
        return any(host.name == strategy and host.manifest.averages_down for host in self.trader.hosts)

    # ---- every second ------------------------------------------------------------------------------

    def _each_second(self, now_ns: int) -> None:
        self._look_at_losses(now_ns)
        self._tell_behaviour()
        self._change_limits(now_ns)
        if now_ns // HOUR_NS != self._hour:
            self._hour = now_ns // HOUR_NS
            self._measure(now_ns)

    def _look_at_losses(self, now_ns: int) -> None:
        """Total loss of the stage, and the warnings of the day (T11.5)."""
        trader, equity = self.trader, self.trader.marks.equity()
        if not isinstance(equity, Known):
            return
        began = trader.loss.begin_stage(trader.profile.name, equity.value, now_ns)
        if began is not None:
            trader.record(began)
        reached = trader.loss.warning(equity.value)
        if reached is not None:
            trader.alarm(f"{reached} % of the day's loss limit is used")
        if trader.loss.total_tripped(equity.value):
            loss = trader.loss.total_loss(equity.value)
            limit = trader.risk.limits.total_loss_quote
            reason = f"loss of stage {trader.profile.name} is {loss}, at its limit {limit}"
            trader.trip(ACCOUNT, TOTAL_LOSS, TradingState.HALTED, reason)

    def _tell_behaviour(self) -> None:
        for event in self.behaviour.events():
            self.trader.record(event)
            self.trader.alarm(f"behaviour of {event.actor}: {event.pattern} {event.detail}".rstrip())

    def _change_limits(self, now_ns: int) -> None:
        for record in self.book.due(now_ns, self._is_open):
            self.trader.record(record)
            self.trader.alarm(f"limit {record.key} is {record.after} now, it was {record.before}")
            self._use(self.book.limits)

    def _is_open(self, symbol: str | None) -> bool:
        """Whether a position, or an order that may become one, is open in this scope."""
        instruments, ledger = self.trader.oms.instruments, self.trader.ledger
        names = [symbol] if symbol in instruments else list(instruments)
        working = any(order.intent.symbol in names for order in self.trader.oms.working())
        return working or any(ledger.total(instruments[name].base) for name in names)

    def _use(self, limits: Limits) -> None:
        self.trader.risk.limits = self.trader.loss.limits = limits
        self.trader.profile = msgspec.structs.replace(self.trader.profile, limits=limits)

    def change_limits(self, after: Limits, *, actor: str, second: str, reason: str) -> list[LimitChange]:
        """An operator asks for other limits. Raises `LimitsRefused`."""
        now_ns = self.trader.port.now_ns()
        records = self.book.ask(after, actor=actor, second=second, reason=reason, now_ns=now_ns)
        self.trader.record(*records)
        self._use(self.book.limits)
        return records

    # ---- correlation -------------------------------------------------------------------------------

    def _measure(self, now_ns: int) -> None:
        """One price of every symbol an hour, and a new matrix of them."""
        hour = now_ns // HOUR_NS
        for symbol in list(self.trader.oms.instruments)[:MAX_SYMBOLS]:
            top = self.trader.marks.top(symbol)
            if isinstance(top, Known):
                prices = self._prices.setdefault(symbol, {})
                prices[hour] = float(top.value.mid)
                for old in [one for one in prices if one < hour - KEPT_HOURS]:
                    del prices[old]
        symbols, returns = hourly_returns(self._prices)
        if symbols:
            factor = next((name for name in symbols if name.startswith(f"{FACTOR_BASE}/")), "")
            try:
                if self.correlation.propose(measure(symbols, returns, factor=factor, now_ns=now_ns), now_ns):
                    self.trader.alarm(f"correlation version {self.correlation.pointer.active} is in force")
                self.correlation_problem = ""
            except (BadMatrix, OSError) as error:
                self.correlation_problem = str(error)
                self.trader.alarm(f"correlation: {error}; the last good one stays")
        before, self.groups = self.groups.step, self._groups(now_ns)
        if self.groups.step > before:
            self.trader.alarm(f"average correlation: {AverageStep(self.groups.step).name.lower()}")

    def _groups(self, now_ns: int) -> Groups:
        return self.correlation.in_force(tuple(self.trader.oms.instruments), now_ns).groups()

    def revert_correlation(self) -> int:
        """The matrix before comes back in force. Raises `BadMatrix`."""
        version = self.correlation.revert()
        self.groups = self._groups(self.trader.port.now_ns())
        return version

    # ---- orders and fills --------------------------------------------------------------------------

    def filled(self, order: ManagedOrder, fill: FillEvent) -> None:
        """What a fill realised is the result of the position that it reduced. Live and in recovery, with the
        venue's time: both have to remember the same.
        """
        position = self.trader.ledger.positions.get(fill.symbol)
        if position is None:
            return
        realised = position.realised - self._realised.get(fill.symbol, ZERO)
        self._realised[fill.symbol] = position.realised
        if realised:
            self.behaviour.closed(
                order.intent.strategy, fill.symbol, Side(1 - fill.side), realised,
                stopped=realised < 0 and order.intent.tag.startswith(STOP_TAG), now_ns=fill.venue_ts_ns,
                human=order.intent.path == Path.MANUAL,
            )  # fmt: skip

    def ended(self, order: ManagedOrder) -> None:
        """An order of ours changed at the venue; live and in recovery."""
        if order.state is State.CANCELLED and order.intent.time_in_force == "gtc":
            self.behaviour.cancelled(
                order.intent.strategy, order.intent.decision_ns, order.updated_ns,
                human=order.intent.path == Path.MANUAL,
            )  # fmt: skip

    def recovered(self) -> None:
        """The log is read: what was told of it stands in it already."""
        self.behaviour.events()

    # ---- recovery ----------------------------------------------------------------------------------

    def _fold(self, record: Record) -> None:
        """Patterns, stages and limits as the log has them."""
        match record:
            case StageStart():
                self.trader.loss.apply(record)
            case LimitChange():
                self.book.apply(record)
                self._use(self.book.limits)
            case BehaviourEvent():
                self.behaviour.restore(record)
            case Intent():
                instrument = self.trader.oms.instruments.get(record.symbol)
                if instrument is not None and record.path != Path.FLATTEN:
                    notional = instrument.tick * record.price_ticks * instrument.lot * record.lots
                    self.behaviour.ordered(
                        record.strategy, record.decision_ns, symbol=record.symbol, notional=notional,
                        human=record.path == Path.MANUAL,
                    )  # fmt: skip
            case AmendRequest():
                order = self.trader.oms.get(record.client_id)
                if order is not None:
                    self.behaviour.ordered(
                        order.intent.strategy, record.decision_ns, symbol=order.intent.symbol, notional=ZERO,
                        replaces=record.client_id, human=order.intent.path == Path.MANUAL,
                    )  # fmt: skip

    def take(self) -> RiskState:
        """For the checkpoint."""
        return RiskState(
            stage=self.trader.loss.stage,
            warned_pct=self.trader.loss.warned_pct,
            actors=self.behaviour.take(),
            limits=self.book.remembered(),
            waiting=list(self.book.waiting.values()),
            prices=self._prices,
            realised=self._realised,
        )

    def load(self, data: bytes) -> None:
        """Become what a checkpoint says. A profile that was edited since lowers limits and raises none."""
        state = msgspec.json.decode(data, type=RiskState)
        self.trader.loss.stage, self.trader.loss.warned_pct = state.stage, state.warned_pct
        self.behaviour.load(state.actors)
        self._prices, self._realised = state.prices, state.realised
        kept = self.book.restart(self.trader.profile.limits, state.limits)
        self.book.waiting = {one.key: one for one in state.waiting}
        self._use(self.book.limits)
        for key in kept:
            self.trader.alarm(f"{key} was raised in the profile: it stays until two people ask for it")
