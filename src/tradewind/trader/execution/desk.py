"""The execution desk: drives every parent from the journal, the market and its own fills (T13).

It owns no order: children are intents that pass risk like every other (T11.1). What it decides it records;
what it knows after a restart is what its records say, and what order management knows of its children.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Final

import msgspec

from tradewind.venues.market_data import BookState, FeedEvent, FeedGap, FeedState, TradePrint
from tradewind.venues.protocol import FillEvent, TimeInForce

from ..orders import ManagedOrder, State
from ..records import Denial, Record
from ..risk.check import Denied, Path
from ..strategy import CancelIntent, PlaceIntent
from ..tca import model as cost_model
from . import opening
from .algorithms import Cancel, Decision, End, Market, Place, Turn, Wait, decide, next_moment_ns
from .book import Book, Parent, adverse
from .children import ChildDesk
from .curve import VolumeCurve
from .desk_base import DESK, TAG_PREFIX, Run, parent_number
from .errors import ExecutionRefused, Refusal
from .model import Algorithm, ExecuteIntent, ParentState
from .records import SINGLE, ChildOpened, ExecutionRecord, ModelUpdated, ParentEnded

SECOND_NS: Final = 1_000_000_000
MAX_RETRY_S: Final = 60
MAX_STEPS: Final = 4
MAX_REFUSALS_PER_MINUTE: Final = 20
_CANCELLABLE: Final = frozenset({State.WORKING, State.PARTIALLY_FILLED})


class ExecutionDesk(ChildDesk):
    """All parents of one trader."""

    def attach(self, *, hears: bool = True) -> None:
        """Register with the trader's hooks. Call it before recovery. `hears` False: nobody can ask for a
        parent, so public trades need not be heard one by one.
        """
        self.host.on_second.append(self.tick)
        self.host.on_fill_hooks.append(self.on_fill)
        self.host.on_order_hooks.append(self.on_order)
        if hears:
            self.host.on_market_hooks.append(self.on_market)
        self.host.fold_hooks.append(self.fold)

    # ---- requests ----------------------------------------------------------------------------------

    def open(
        self,
        intent: ExecuteIntent,
        *,
        strategy: str,
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
            actor=actor,
            reason=reason,
            client_key=client_key,
        )
        self._tell(record)
        parent = self.book.parents[record.parent]
        self._run(parent)
        return parent

    def on_intent(self, strategy: str, intent: ExecuteIntent) -> None:
        """A strategy's wish. A refusal is a denial: journaled, counted, and told to nobody else."""
        try:
            self.open(
                intent,
                strategy=strategy,
                actor=strategy,
                reason=intent.tag,
                curve=self.curves.get(intent.symbol) if intent.algorithm is Algorithm.VWAP else None,
            )
        except ExecutionRefused as refused:
            self.counts[f"refused {refused.code}"] += 1
            self._count_refusal(strategy, refused)
            self.host.record(
                Denial(
                    strategy=strategy,
                    path=str(Path.ALGORITHM),
                    symbol=intent.symbol,
                    side=intent.side,
                    price_ticks=intent.limit_ticks or 0,
                    lots=intent.lots,
                    codes=list(refused.codes) or [refused.code],
                    detail=refused.message,
                    at_ns=self.view.now_ns(),
                )
            )

    def _count_refusal(self, strategy: str, refused: ExecutionRefused) -> None:
        """More than 20 a minute halt the strategy (T11.9)."""
        now_ns = self.view.now_ns()
        moments = self._refused.setdefault(strategy, deque(maxlen=MAX_REFUSALS_PER_MINUTE + 1))
        moments.append(now_ns)
        if len(moments) > MAX_REFUSALS_PER_MINUTE and now_ns - moments[0] < 60 * SECOND_NS:
            self.view.halt(
                strategy, f"more than {MAX_REFUSALS_PER_MINUTE} refused parents per minute: {refused.code}"
            )

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

    def _by_key(self, client_key: str) -> Parent | None:
        if not client_key:
            return None
        found = (one for one in self.book.parents.values() if one.opened.client_key == client_key)
        return next(found, None)

    def waits(self, parent: Parent) -> dict[str, int]:
        """How often a parent began to wait for what (of a working one: in this process)."""
        if parent.ended is not None:
            return parent.ended.waits
        run = self._runs.get(parent.number)
        return {} if run is None else {reason: count for reason, count in sorted(run.waits.items()) if reason}

    # ---- hooks -------------------------------------------------------------------------------------

    def fold(self, record: Record) -> None:
        """One record read back in recovery."""
        if isinstance(record, ExecutionRecord):
            self.book.apply(record)

    def start(self) -> None:
        """After recovery: learn what happened to the children meanwhile. Then the schedules go on."""
        self.started = True
        parents = self.book.open_parents()
        for parent in parents:
            self._recover_fills(parent)
            self._sync(parent)
        self.counts["resumed"] += len(parents)

    def tick(self, now_ns: int) -> None:
        """Every second while the trader trades: each parent gets its turn. The first one starts the desk."""
        if not self.started:
            self.start()
        for parent in self.book.open_parents():
            self._advance(parent)
        self._look_back(now_ns)

    def on_market(self, event: FeedEvent) -> None:
        """A public event: volume and gaps. A book that is not live any more is acted on at once."""
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
                for parent in self.book.open_parents():
                    if parent.opened.symbol == event.symbol:
                        self._advance(parent)
            case _:
                tape.begin(now_ns)
        self._wake(event.symbol, now_ns)

    def _wake(self, symbol: str, now_ns: int) -> None:
        """Parents whose moment comes within a second, such as the refresh of an iceberg."""
        due = [number for number, run in self._runs.items() if 0 < run.wake_ns <= now_ns]
        for number in due:
            parent = self.book.get(number)
            if parent is not None and parent.opened.symbol == symbol:
                self._advance(parent)

    def on_fill(self, order: ManagedOrder, event: FillEvent) -> None:
        """One of the account's orders was filled."""
        if not self.started:
            return
        if self.view.prints_own:
            self._tape(event.symbol).own(event.trade_id)
        if parent_number(order) is None and order.client_id not in self.book.singles:
            self._note_single(order)
            if order.client_id not in self.book.singles:
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

    def load(self, data: bytes) -> None:
        """Become what a checkpoint says. Raises `msgspec.DecodeError`."""
        self.book = msgspec.json.decode(data, type=Book)

    # ---- driving -----------------------------------------------------------------------------------

    def _advance(self, parent: Parent) -> None:
        """One parent's turn. What goes wrong in it stops this parent and no other, and nothing else."""
        if not self.started or not self.view.running:
            return
        try:
            self._drive(parent)
        except Exception as error:  # noqa: BLE001 - a defect here must not end the trading of others
            self.counts["faults"] += 1
            if parent.state is not ParentState.HANDED and not parent.is_ended:
                self._change(parent, Turn(ParentState.HANDED, "", f"fault: {error!r}"), actor=DESK)

    def _drive(self, parent: Parent) -> None:
        """Decide and act until nothing more is to be done now."""
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
                run.wake_ns = next_moment_ns(parent, market.now_ns)
            case Place():
                if market.now_ns < run.retry_ns:
                    self._count_wait(run, run.retry_for)
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
        self.host.wish(opened.strategy, Path.ALGORITHM, intent, verdict)

    def _denied(self, parent: Parent, run: Run, denied: list[Denied]) -> None:
        """Risk refused a child: wait, longer each time."""
        run.denials += 1
        run.retry_ns = self.view.now_ns() + min(MAX_RETRY_S, 2 ** min(run.denials, 10)) * SECOND_NS
        for one in denied:
            run.waits[f"denied {one.code}"] += 1
        self.counts["children denied"] += 1
        run.retry_for = run.waiting_for = "denied"

    def _cancel_child(self, parent: Parent, run: Run, cancel: Cancel) -> None:
        order = self.view.order(cancel.client_id)
        if order is None or order.state not in _CANCELLABLE or run.cancel_asked == cancel.client_id:
            return
        run.cancel_asked, run.cancel_reason = cancel.client_id, cancel.reason

        def verdict(_: list[Denied], __: str | None) -> None:
            run.cancel_asked = ""

        intent = CancelIntent(client_id=cancel.client_id, reason=cancel.reason)
        self.host.wish(parent.opened.strategy, Path.ALGORITHM, intent, verdict)

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
        self.counts[f"ended {end.state}"] += 1
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


def residual_bps(parent: Parent) -> Decimal | None:
    """Realised less expected cost of what was filled, fees included, in bps of its value at arrival."""
    if not parent.filled_lots:
        return None
    opened = parent.opened
    arrival = opened.arrival.mid_ticks * parent.filled_lots
    drift = (parent.value - arrival) * adverse(opened.side)
    fees = parent.fees / (opened.scale.tick * opened.scale.lot)
    return ((drift + fees) * 10_000 / arrival - opened.expected_bps).quantize(cost_model.STEP)
