"""The execution desk: drives every parent from the journal, the market and its own fills (T13).

It owns no order: children are intents that pass risk like every other (T11.1). What it decides it records;
what it knows after a restart is what its records say, and what order management knows of its children.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any, Final

import msgspec

from tradewind.venues.market_data import BookState, FeedEvent, FeedGap, FeedState, TradePrint
from tradewind.venues.protocol import FillEvent, TimeInForce

from ..orders import ManagedOrder, State
from ..records import Record
from ..risk.check import Denied, Path
from ..strategy import CancelIntent, PlaceIntent
from ..tca import model as cost_model
from . import opening, schedule
from .algorithms import (
    Cancel,
    Decision,
    End,
    Market,
    Place,
    Turn,
    Volume,
    Wait,
    beyond_limit,
    decide,
)
from .book import MARK_MINUTES, WINDOW_NS, Book, Child, Parent, adverse
from .curve import VolumeCurve
from .errors import ExecutionRefused, Refusal
from .model import Algorithm, ExecuteIntent, ParentState
from .port import Host, MarketView
from .records import (
    SINGLE,
    ChildEnded,
    ChildFilled,
    ChildOpened,
    ExecutionRecord,
    Mark,
    MarkAfter,
    ModelUpdated,
    ParentChanged,
    ParentEnded,
    ParentOpened,
    ParentReplanned,
    SingleOpened,
    VolumeSeen,
)
from .tape import Tape

SECOND_NS: Final = 1_000_000_000
DESK: Final = "execution"
TAG_PREFIX: Final = "parent:"
VOLUME_EVERY_NS: Final = 30 * SECOND_NS
"""External volume is journaled so often: a crash forgets no more of it."""
MARK_PATIENCE_NS: Final = 10 * SECOND_NS
"""A later look at the market must not be later than this."""
MAX_RETRY_S: Final = 60
MAX_STEPS: Final = 4
MAX_SINGLES: Final = 1_000
MAX_PENDING_FILLS: Final = 100_000
_CANCELLABLE: Final = frozenset({State.WORKING, State.PARTIALLY_FILLED})


class Run(msgspec.Struct, kw_only=True):
    """What a process remembers of a parent beside its records; a restart begins it anew."""

    base_lots: int
    base_value: int
    bucket_lots: int
    bucket_since_ns: int
    beyond_since_ns: int | None = None
    asking: bool = False
    retry_ns: int = 0
    denials: int = 0
    waiting_for: str = ""
    waits: Counter[str]
    last_mark: Mark
    volume_told_ns: int = 0
    cancel_asked: str = ""


class ExecutionDesk:
    """All parents of one trader."""

    def __init__(self, host: Host, view: MarketView) -> None:
        self.host = host
        self.view = view
        self.book = Book()
        self.started = False
        self.counts: Counter[str] = Counter()
        self._tapes: dict[str, Tape] = {}
        self._runs: dict[int, Run] = {}
        self._pending: dict[tuple[str, str], tuple[ManagedOrder, FillEvent]] = {}
        self._known_fills: set[tuple[str, str]] = set()

    def attach(self) -> None:
        """Register with the trader's hooks. Call it before recovery."""
        self.host.on_second.append(self.tick)
        self.host.on_fill_hooks.append(self.on_fill)
        self.host.on_order_hooks.append(self.on_order)
        self.host.on_market_hooks.append(self.on_market)
        self.host.fold_hooks.append(self.fold)

    # ---- requests ----------------------------------------------------------------------------------

    def open(
        self,
        intent: ExecuteIntent,
        *,
        strategy: str,
        path: Path,
        actor: str,
        reason: str,
        client_key: str = "",
        curve: VolumeCurve | None = None,
    ) -> Parent:
        """Begins a parent, or returns the one that was begun with the same key. Raises `ExecutionRefused`;
        nothing was changed then.
        """
        earlier = self._by_key(client_key)
        if earlier is not None:
            if earlier.opened.body_hash != opening.body_hash(intent):
                raise ExecutionRefused(
                    Refusal.IDEMPOTENCY_CONFLICT, f"key {client_key!r} was used with another body"
                )
            return earlier
        record = opening.opened(
            intent,
            book=self.book,
            view=self.view,
            tape=self._tape(intent.symbol),
            curve=curve,
            strategy=strategy,
            path=path,
            actor=actor,
            reason=reason,
            client_key=client_key,
        )
        self._tell(record)
        return self.book.parents[record.parent]

    def pause(self, number: int, *, actor: str, reason: str) -> Parent:
        """No new child, the open one is cancelled; time goes on."""
        return self._turn_by(number, {ParentState.WORKING}, ParentState.PAUSED, actor, reason)

    def resume(self, number: int, *, actor: str, reason: str) -> Parent:
        """Goes on with the same schedule; what was missed is caught up at no more than twice its rate."""
        return self._turn_by(number, {ParentState.PAUSED}, ParentState.WORKING, actor, reason)

    def cancel(self, number: int, *, actor: str, reason: str) -> Parent:
        """Cancels the open child and ends the parent. What was filled stays filled."""
        open_states = {
            ParentState.WORKING,
            ParentState.PAUSED,
            ParentState.FINISHING,
            ParentState.HANDED,
        }
        return self._turn_by(
            number, open_states, ParentState.ENDING, actor, reason, then=ParentState.CANCELLED
        )

    def _turn_by(
        self,
        number: int,
        from_states: set[ParentState],
        state: ParentState,
        actor: str,
        reason: str,
        *,
        then: str = "",
    ) -> Parent:
        parent = self.book.get(number)
        if parent is None:
            raise ExecutionRefused(Refusal.UNKNOWN_PARENT, f"no parent {number}", given=str(number))
        if not reason.strip():
            raise ExecutionRefused(Refusal.NO_REASON, "state a reason; it goes into the log")
        if parent.state is state and parent.then == then:
            return parent
        if parent.state not in from_states:
            raise ExecutionRefused(
                Refusal.PARENT_ENDED, f"parent {number} is {parent.state}", given=str(parent.state)
            )
        self._change(parent, Turn(state, then, reason), actor=actor)
        self._advance(parent)
        return parent

    # ---- hooks -------------------------------------------------------------------------------------

    def fold(self, record: Record) -> None:
        """One record read back in recovery."""
        if isinstance(record, ExecutionRecord):
            if isinstance(record, ChildFilled):
                self._pending.pop((record.client_id, record.trade_id), None)
            self.book.apply(record)

    def start(self) -> None:
        """After recovery: learn what happened to the children meanwhile. Then the schedules go on."""
        for order, event in self._pending.values():
            self._tell_fill(order, event, None)
        self._pending.clear()
        self.started = True
        for parent in self.book.open_parents():
            self._sync(parent)
        self.counts["resumed"] += len(self.book.open_parents())

    def tick(self, now_ns: int) -> None:
        """Every second: each parent gets its turn."""
        if not self.started:
            return
        for parent in self.book.open_parents():
            self._advance(parent)
        self._look_back(now_ns)

    def on_market(self, event: FeedEvent) -> None:
        """A public event: volume, gaps, and parents whose moment has come."""
        tape = self._tape(event.symbol)
        now_ns = self.view.now_ns()
        match event:
            case TradePrint():
                trade_id = str(event.trade_id) if self.view.prints_own and event.trade_id is not None else ""
                tape.add(now_ns, event.price_ticks, event.quantity_lots, trade_id)
            case FeedGap():
                tape.missed(now_ns)
            case FeedState() if event.state is not BookState.LIVE:
                tape.missed(now_ns)
            case _:
                tape.begin(now_ns)
                return
        if self.started:
            for parent in self.book.open_parents():
                if parent.opened.symbol == event.symbol:
                    self._advance(parent)

    def on_fill(self, order: ManagedOrder, event: FillEvent) -> None:
        """One of the account's orders was filled, now or in a recovery."""
        if self.view.prints_own:
            self._tape(event.symbol).own(event.trade_id)
        if parent_number(order) is None and order.client_id not in self.book.singles:
            self._note_single(order)
            if order.client_id not in self.book.singles:
                return
        if not self.started:
            if len(self._pending) < MAX_PENDING_FILLS:
                self._pending[order.client_id, event.trade_id] = (order, event)
            return
        self._tell_fill(order, event, self.view.mark(event.symbol))
        parent = self._parent_of(order)
        if parent is not None and not parent.is_ended:
            self._advance(parent)

    def on_order(self, order: ManagedOrder) -> None:
        """One of the account's orders changed state."""
        if not self.started:
            return
        parent = self._parent_of(order)
        if parent is not None:
            self._sync(parent)
            if not parent.is_ended:
                self._advance(parent)
        elif parent_number(order) is None:
            self._note_single(order)
            if order.is_terminal and order.client_id in self.book.singles:
                self._tell_ended(SINGLE, order)

    # ---- checkpoint --------------------------------------------------------------------------------

    def take(self) -> Book:
        """Everything that the records say, for a checkpoint."""
        return self.book

    def load(self, data: Any) -> None:
        """Become what a checkpoint says. Raises `msgspec.ValidationError`."""
        self.book = data if isinstance(data, Book) else msgspec.convert(data, Book, strict=False)

    # ---- driving -----------------------------------------------------------------------------------

    def _advance(self, parent: Parent) -> None:
        """Decide and act until nothing more is to be done now."""
        if not self.started:
            return
        run = self._run(parent)
        for _ in range(MAX_STEPS):
            self._sync(parent)
            if run.asking or parent.is_ended:
                return
            market = self._market(parent, run)
            volume = self._volume(parent, run, market.now_ns)
            decision = decide(parent, market, volume, run.beyond_since_ns)
            if not self._act(parent, run, decision, market):
                return

    def _act(self, parent: Parent, run: Run, decision: Decision, market: Market) -> bool:
        """Carry out a decision; whether another one may follow at once."""
        match decision:
            case Wait():
                self._count_wait(run, decision.reason)
            case Place():
                if market.now_ns < run.retry_ns:
                    self._count_wait(run, "denied")
                else:
                    self._count_wait(run, "")
                    self._place(parent, run, decision, market)
            case Cancel():
                self._cancel_child(parent, run, decision)
            case Turn():
                self._change(parent, decision, actor=DESK)
                return True
            case End():
                self._end(parent, run, decision, market.now_ns)
        return False

    def _place(self, parent: Parent, run: Run, place: Place, market: Market) -> None:
        opened, mark = parent.opened, market.mark
        assert mark is not None
        if place.lots > parent.free_lots(market.now_ns):
            raise AssertionError(f"parent {parent.number}: a child of {place.lots} lots is too much")
        number = parent.children_count + 1
        rests = place.kind == "rest"
        intent = PlaceIntent(
            symbol=opened.symbol,
            side=opened.side,
            price_ticks=place.price_ticks,
            lots=place.lots,
            post_only=rests,
            time_in_force=TimeInForce.GTC if rests else TimeInForce.IOC,
            tag=f"{TAG_PREFIX}{parent.number}/{place.slice}/{place.kind}",
        )

        def verdict(denied: list[Denied], client_id: str | None) -> None:
            run.asking = False
            if client_id is None:
                self._denied(parent, run, denied)
                return
            run.denials = 0
            self._tell(
                ChildOpened(
                    parent=parent.number,
                    number=number,
                    slice=place.slice,
                    kind=place.kind,
                    client_id=client_id,
                    lots=place.lots,
                    price_ticks=place.price_ticks,
                    at_ns=market.now_ns,
                    mark=mark,
                    external_lots=self._tape(opened.symbol).lots - run.base_lots,
                    external_value=self._tape(opened.symbol).value - run.base_value,
                )
            )

        run.asking = True
        self.host.wish(opened.strategy, Path.ALGO, intent, verdict)

    def _denied(self, parent: Parent, run: Run, denied: list[Denied]) -> None:
        """Risk refused a child: wait, longer each time."""
        run.denials += 1
        run.retry_ns = self.view.now_ns() + min(MAX_RETRY_S, 2 ** min(run.denials, 10)) * SECOND_NS
        for one in denied:
            run.waits[f"denied {one.code}"] += 1
        self.counts["children denied"] += 1
        run.waiting_for = "denied"

    def _cancel_child(self, parent: Parent, run: Run, cancel: Cancel) -> None:
        order = self.view.order(cancel.client_id)
        if order is None or order.state not in _CANCELLABLE or run.cancel_asked == cancel.client_id:
            return
        run.cancel_asked = cancel.client_id

        def verdict(_: list[Denied], __: str | None) -> None:
            run.cancel_asked = ""

        intent = CancelIntent(client_id=cancel.client_id, reason=cancel.reason)
        self.host.wish(parent.opened.strategy, Path.ALGO, intent, verdict)

    def _change(self, parent: Parent, turn: Turn, *, actor: str) -> None:
        self._tell(
            ParentChanged(
                parent=parent.number,
                state=str(turn.state),
                then=turn.then,
                reason=turn.reason,
                actor=actor,
                at_ns=self.view.now_ns(),
            )
        )
        if turn.state is ParentState.HANDED or turn.then == ParentState.ABORTED:
            self.view.alarm(f"parent {parent.number} {turn.then or turn.state}: {turn.reason}")

    def _end(self, parent: Parent, run: Run, end: End, now_ns: int) -> None:
        tape = self._tape(parent.opened.symbol)
        self._tell(
            ParentEnded(
                parent=parent.number,
                state=str(end.state),
                reason=end.reason,
                actor=parent.actor or DESK,
                at_ns=now_ns,
                mark=run.last_mark,
                external_lots=tape.lots - run.base_lots,
                external_value=tape.value - run.base_value,
                waits={key: count for key, count in sorted(run.waits.items()) if key},
                residual_bps=residual_bps(parent),
            )
        )
        del self._runs[parent.number]
        if end.state is ParentState.OVERFILLED:
            self.view.alarm(f"parent {parent.number}: {end.reason}")
        self._judge_model(now_ns)

    def _judge_model(self, now_ns: int) -> None:
        """Moves the cost model when the residuals say so (T13.8)."""
        verdict = cost_model.judge(self.book.residuals_bps)
        if verdict is None or not verdict.must_move:
            return
        self._tell(
            ModelUpdated(
                version=self.book.model_version + 1,
                offset_bps=self.book.model_offset_bps + verdict.mean_bps,
                parents=cost_model.WINDOW,
                mean_bps=verdict.mean_bps,
                half_width_bps=verdict.half_width_bps,
                at_ns=now_ns,
            )
        )

    # ---- facts -------------------------------------------------------------------------------------

    def _market(self, parent: Parent, run: Run) -> Market:
        market = self.view.market(parent.opened.symbol, parent.opened.strategy)
        held = self.view.position_lots(parent.opened.symbol) * adverse(parent.opened.side)
        market = msgspec.structs.replace(market, reducing=held < 0 and parent.remaining_lots <= -held)
        if market.mark is not None:
            run.last_mark = market.mark
            beyond = beyond_limit(parent, market.mark)
            if not beyond:
                run.beyond_since_ns = None
            elif run.beyond_since_ns is None:
                run.beyond_since_ns = market.now_ns
        return market

    def _volume(self, parent: Parent, run: Run, now_ns: int) -> Volume:
        tape, ratio = self._tape(parent.opened.symbol), parent.opened.scale.volume_ratio
        self._replan(parent, run, tape, now_ns)
        if now_ns - run.volume_told_ns >= VOLUME_EVERY_NS:
            run.volume_told_ns = now_ns
            seen, value = tape.lots - run.base_lots, tape.value - run.base_value
            if seen != parent.external_lots:
                self._tell(VolumeSeen(parent=parent.number, lots=seen, value=value, at_ns=now_ns))
        interval_ns = max(WINDOW_NS, parent.opened.terms.interval_s * SECOND_NS)
        return Volume(
            total_lots=(tape.lots - run.base_lots) // ratio,
            minute_lots=tape.within(now_ns, WINDOW_NS) // ratio,
            interval_lots=tape.within(now_ns, interval_ns) // ratio,
        )

    def _replan(self, parent: Parent, run: Run, tape: Tape, now_ns: int) -> None:
        """At the end of each bucket of a VWAP, its realised volume takes the place of the expected one."""
        if parent.opened.algorithm != Algorithm.VWAP:
            return
        for number in range(len(parent.replans), len(parent.opened.curve)):
            point = parent.opened.curve[number]
            if point.end_ns > now_ns:
                return
            realised = tape.lots - run.bucket_lots
            observed = run.bucket_since_ns <= point.start_ns and tape.gap_ns <= point.start_ns
            deviation = schedule.deviation_pct(realised, point.expected_lots) if observed else None
            alarm = deviation is not None and abs(deviation) > schedule.REPLAN_ALARM_PCT
            self._tell(
                ParentReplanned(
                    parent=parent.number,
                    bucket=number,
                    at_ns=now_ns,
                    realised_lots=realised if observed else 0,
                    expected_lots=point.expected_lots,
                    observed=observed,
                    alarm=alarm,
                )
            )
            run.bucket_lots, run.bucket_since_ns = tape.lots, point.end_ns
            if alarm and deviation is not None:
                self.view.alarm(
                    f"parent {parent.number}: the market's volume is {deviation:+.0f} % off the curve"
                )

    def _run(self, parent: Parent) -> Run:
        run = self._runs.get(parent.number)
        if run is None:
            tape = self._tape(parent.opened.symbol)
            now_ns = self.view.now_ns()
            tape.begin(now_ns)
            fresh = not parent.children_count and now_ns - parent.opened.start_ns < SECOND_NS
            run = self._runs[parent.number] = Run(
                base_lots=tape.lots - parent.external_lots,
                base_value=tape.value - parent.external_value,
                bucket_lots=tape.lots,
                bucket_since_ns=parent.opened.start_ns if fresh else now_ns,
                waits=Counter(),
                last_mark=parent.opened.arrival,
                volume_told_ns=now_ns,
            )
        return run

    def _tape(self, symbol: str) -> Tape:
        return self._tapes.setdefault(symbol, Tape())

    def _count_wait(self, run: Run, reason: str) -> None:
        """Waits are counted when they begin."""
        if reason and reason != run.waiting_for:
            run.waits[reason] += 1
            self.counts[f"wait {reason}"] += 1
        run.waiting_for = reason

    # ---- orders and fills --------------------------------------------------------------------------

    def _sync(self, parent: Parent) -> None:
        """What order management knows of the open child that the records do not say yet."""
        child = parent.open_child
        if child is None:
            return
        order = self.view.order(child.client_id)
        if order is None:
            self._lost(parent, child)
            return
        missing = order.filled_lots - child.filled_lots
        if missing > 0:
            self._infer_fill(parent, child, order, missing)
        if order.is_terminal:
            self._tell_ended(parent.number, order)

    def _lost(self, parent: Parent, child: Child) -> None:
        """Order management has forgotten the child: nobody knows its end, so a person must look."""
        now_ns = self.view.now_ns()
        self._tell(
            ChildEnded(
                parent=parent.number,
                client_id=child.client_id,
                state="unknown",
                reason="not known to order management",
                at_ns=now_ns,
            )
        )
        self._change(parent, Turn(ParentState.HANDED, "", f"child {child.client_id} is lost"), actor=DESK)

    def _infer_fill(self, parent: Parent, child: Child, order: ManagedOrder, lots: int) -> None:
        """Filled lots without their executions (T7.8): booked at the order's price, which is the worst."""
        self._tell(
            ChildFilled(
                parent=parent.number,
                client_id=child.client_id,
                trade_id=f"syn-{child.client_id}-{child.filled_lots}-{order.filled_lots}",
                price_ticks=order.price_ticks,
                lots=lots,
                fee=order.fees - child.fees,
                fee_asset=parent.opened.scale.quote,
                maker=child.kind == "rest",
                at_ns=order.updated_ns,
                mark=None,
            )
        )

    def _tell_fill(self, order: ManagedOrder, event: FillEvent, mark: Mark | None) -> None:
        self._tell(
            ChildFilled(
                parent=parent_number(order) or SINGLE,
                client_id=order.client_id,
                trade_id=event.trade_id,
                price_ticks=event.price_ticks,
                lots=event.lots,
                fee=event.fee,
                fee_asset=event.fee_asset,
                maker=event.maker,
                at_ns=event.venue_ts_ns,
                mark=mark,
            )
        )

    def _tell_ended(self, number: int, order: ManagedOrder) -> None:
        self._tell(
            ChildEnded(
                parent=number,
                client_id=order.client_id,
                state=str(order.state),
                reason=order.reason,
                at_ns=max(order.updated_ns, self.view.now_ns()),
            )
        )

    def _note_single(self, order: ManagedOrder) -> None:
        """The market at the first word of a single order, for its cost report."""
        intent = order.intent
        if order.client_id in self.book.singles or not self.started or self.view.quotes(intent.strategy):
            return
        mark, scale = self.view.mark(intent.symbol), self.view.scale(intent.symbol)
        if mark is None or scale is None or order.is_terminal or len(self.book.singles) >= MAX_SINGLES:
            self.counts["single orders not analysed"] += 1
            return
        self._tell(
            SingleOpened(
                client_id=order.client_id,
                strategy=intent.strategy,
                path=intent.path,
                symbol=intent.symbol,
                side=intent.side,
                lots=order.lots,
                price_ticks=order.price_ticks,
                decision_ns=intent.decision_ns,
                scale=scale,
                mark=mark,
            )
        )

    def _look_back(self, now_ns: int) -> None:
        """The market 1, 5 and 30 minutes behind what has ended."""
        for key, due_ns in list(self.book.after.items()):
            if due_ns > now_ns:
                continue
            number, client_id, minutes = key.split("/")
            symbol = self._symbol_of(int(number), client_id)
            seen = symbol is not None and now_ns - due_ns <= MARK_PATIENCE_NS
            mark = self.view.mark(symbol) if seen and symbol is not None else None
            self._tell(
                MarkAfter(
                    parent=int(number), client_id=client_id, minutes=int(minutes), mark=mark, at_ns=now_ns
                )
            )

    def _symbol_of(self, number: int, client_id: str) -> str | None:
        if number == SINGLE:
            single = self.book.singles.get(client_id)
            return None if single is None else single.symbol
        parent = self.book.get(number)
        return None if parent is None else parent.opened.symbol

    def _parent_of(self, order: ManagedOrder) -> Parent | None:
        number = parent_number(order)
        return None if number is None else self.book.get(number)

    def _by_key(self, client_key: str) -> Parent | None:
        if not client_key:
            return None
        found = (one for one in self.book.parents.values() if one.opened.client_key == client_key)
        return next(found, None)

    def _tell(self, record: ExecutionRecord) -> None:
        """Apply and journal: the state is never more than what its records say."""
        self.book.apply(record)
        self.host.record(record)


def parent_number(order: ManagedOrder) -> int | None:
    """Number of the parent that an order's tag names, None for a single order."""
    tag = order.intent.tag
    if not tag.startswith(TAG_PREFIX):
        return None
    number = tag.removeprefix(TAG_PREFIX).partition("/")[0]
    return int(number) if number.isdecimal() else None


def residual_bps(parent: Parent) -> Decimal | None:
    """Realised less expected cost of what was filled, fees included, in bps of its value at arrival."""
    if not parent.filled_lots:
        return None
    opened = parent.opened
    arrival = opened.arrival.mid_ticks * parent.filled_lots
    drift = (parent.value - arrival) * adverse(opened.side)
    fees = parent.fees / (opened.scale.tick * opened.scale.lot)
    return ((drift + fees) * 10_000 / arrival - opened.expected_bps).quantize(cost_model.STEP)


__all__ = ["DESK", "MARK_MINUTES", "ExecutionDesk", "ParentOpened", "parent_number", "residual_bps"]
