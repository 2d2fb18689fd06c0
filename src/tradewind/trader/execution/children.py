"""Children and single orders: what order management and the venue say of them, as records."""

from __future__ import annotations

from typing import Final

from tradewind.venues.protocol import FillEvent

from ..orders import ManagedOrder, State
from .algorithms import Turn
from .book import Child, Parent
from .desk_base import DESK, DeskBase, parent_number
from .model import ParentState
from .records import SINGLE, ChildEnded, ChildFilled, Mark, MarkAfter, SingleOpened

SECOND_NS: Final = 1_000_000_000
MARK_PATIENCE_NS: Final = 10 * SECOND_NS
"""A later look at the market must not be later than this."""
MAX_SINGLES: Final = 1_000
REJECTED_RETRY_NS: Final = SECOND_NS
"""How long a parent waits behind a refusal of the venue."""


class ChildDesk(DeskBase):
    """Turns the life of orders into records."""

    # ---- orders and fills --------------------------------------------------------------------------

    def _recover_fills(self, parent: Parent) -> None:
        """Executions of its children that came while nobody wrote them down. Their market is not known."""
        told = {client_id: child.filled_lots for client_id, child in parent.children.items()}
        for event in self.view.recent_fills():
            if event.client_id not in told:
                continue
            if told[event.client_id] >= event.lots:
                told[event.client_id] -= event.lots
                continue
            order = self.view.order(event.client_id)
            if order is not None:
                self._tell_fill(order, event, None)

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
        if not order.is_terminal:
            return
        run = self._run(parent)
        reason = run.cancel_reason if order.state is State.CANCELLED else ""
        run.cancel_reason = ""
        if order.state is State.REJECTED:
            run.retry_ns, run.retry_for = self.view.now_ns() + REJECTED_RETRY_NS, "rejected"
        self._tell_ended(parent.number, order, reason)

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

    def _tell_ended(self, number: int, order: ManagedOrder, reason: str = "") -> None:
        self._tell(
            ChildEnded(
                parent=number,
                client_id=order.client_id,
                state=str(order.state),
                reason=reason or order.reason,
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
