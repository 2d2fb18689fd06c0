"""Parents and children as a fold over their records (T13.1): the same records give the same state, always."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import Final

import msgspec

from tradewind.venues.market_data import Side

from .model import ENDED, ParentState
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

SECOND_NS: Final = 1_000_000_000
WINDOW_NS: Final = 60 * SECOND_NS
LATE_FILL_GRACE_NS: Final = 5 * SECOND_NS
"""What a cancelled child left is not given to another one before a late fill would raise an alarm (T18)."""
MAX_OPEN_PARENTS: Final = 64
MAX_KEPT_PARENTS: Final = 1_000
MAX_KEPT_CHILDREN: Final = 200
MAX_KEPT_FILLS: Final = 10_000
MAX_AFTER: Final = 6_000
MAX_RESIDUALS: Final = 50
CHILD_MARGIN: Final = Decimal("1.1")
"""The least child is the venue's minimum times this (T13.2)."""
_MAY_FILL_LATE: Final = frozenset({"cancelled", "expired"})
OPEN: Final = "open"
MARK_MINUTES: Final = (1, 5, 30)
"""When the market is looked at again behind the end of a parent: reversion (T13.8)."""
LAST_MARK_MINUTES: Final = 30


class Child(msgspec.Struct, kw_only=True):
    """One child order. `state` is "open" or the order state in which it ended."""

    client_id: str
    number: int
    slice: int
    kind: str
    lots: int
    price_ticks: int
    opened_ns: int
    filled_lots: int = 0
    fees: Decimal = Decimal(0)
    state: str = OPEN
    reason: str = ""
    ended_ns: int = 0

    @property
    def is_open(self) -> bool:
        """Whether it may fill: working, in flight or unknown."""
        return self.state == OPEN

    @property
    def remaining_lots(self) -> int:
        """Lots that were not filled."""
        return max(0, self.lots - self.filled_lots)

    def held_lots(self, now_ns: int) -> int:
        """Lots that may still fill, late fills of an ended child included."""
        late = self.state in _MAY_FILL_LATE and now_ns - self.ended_ns < LATE_FILL_GRACE_NS
        return self.remaining_lots if self.is_open or late else 0


class OwnFill(msgspec.Struct, frozen=True):
    """An execution, as far as windows need it."""

    at_ns: int
    lots: int


class Parent(msgspec.Struct, kw_only=True):
    """One parent order."""

    opened: ParentOpened
    state: ParentState = ParentState.WORKING
    then: str = ""
    reason: str = ""
    actor: str = ""
    changed_ns: int = 0
    children: dict[str, Child] = {}
    children_count: int = 0
    filled_lots: int = 0
    value: int = 0
    """Sum of price_ticks times lots of the fills."""
    fees: Decimal = Decimal(0)
    """In the quote asset; a fee in the base asset is valued at the fill's price."""
    maker_lots: int = 0
    fills: list[OwnFill] = []
    last_fill_ns: int = 0
    external_lots: int = 0
    external_value: int = 0
    replans: list[ParentReplanned] = []
    ended: ParentEnded | None = None

    @property
    def number(self) -> int:
        """Its number, from 1."""
        return self.opened.parent

    @property
    def is_ended(self) -> bool:
        """Whether nothing more is done for it. Late fills still count."""
        return self.state in ENDED

    @property
    def remaining_lots(self) -> int:
        """Lots that are not filled."""
        return max(0, self.opened.lots - self.filled_lots)

    @property
    def open_child(self) -> Child | None:
        """The child that may be at the venue; there is at most one."""
        return next((child for child in self.children.values() if child.is_open), None)

    @property
    def cost_bps(self) -> Decimal | None:
        """Cost of what was filled against the arrival mid, without fees; None while nothing was."""
        if not self.filled_lots:
            return None
        arrival = self.opened.arrival.mid_ticks * self.filled_lots
        return (self.value - arrival) * adverse(self.opened.side) * 10_000 / arrival

    def committed_lots(self, now_ns: int) -> int:
        """Filled lots and lots that may still fill: working, in flight, unknown, or late."""
        return self.filled_lots + sum(child.held_lots(now_ns) for child in self.children.values())

    def free_lots(self, now_ns: int) -> int:
        """Lots that a new child may have: the sum of T13.1 never exceeds the parent's quantity."""
        return max(0, self.opened.lots - self.committed_lots(now_ns))

    def filled_since(self, since_ns: int) -> int:
        """Own lots filled after a moment, which lies within the last 400 s."""
        return sum(fill.lots for fill in self.fills if fill.at_ns > since_ns)

    def venue_minimum_lots(self, price_ticks: int) -> int:
        """Least lots that the venue takes at this price."""
        scale = self.opened.scale
        least = scale.min_quantity / scale.lot
        if scale.min_notional:
            least = max(least, scale.min_notional / (scale.tick * price_ticks * scale.lot))
        return max(1, int(least.to_integral_value(ROUND_CEILING)))

    def minimum_lots(self, price_ticks: int) -> int:
        """Least lots of a child: the venue's minimum times 1.1 (T13.2)."""
        least = self.venue_minimum_lots(price_ticks) * CHILD_MARGIN
        return int(least.to_integral_value(ROUND_CEILING))


class Book(msgspec.Struct, kw_only=True):
    """All parents that are kept. Ended ones beyond `MAX_KEPT_PARENTS` are only in the journal."""

    parents: dict[int, Parent] = {}
    next_parent: int = 1
    model_version: int = 1
    model_offset_bps: Decimal = Decimal(0)
    singles: dict[str, SingleOpened] = {}
    after: dict[str, int] = {}
    """When which parent or single order is looked at again: `number/client id/minutes`."""
    residuals_bps: list[Decimal] = []
    """Of completed parents since the model moved last, for `tca.model`."""
    keep_all: bool = False

    def apply(self, record: ExecutionRecord) -> None:
        """Fold one record. Records of parents that are no longer kept change nothing."""
        match record:
            case ParentOpened():
                self._open(record)
            case SingleOpened():
                self.singles[record.client_id] = record
            case ModelUpdated():
                self.model_version, self.model_offset_bps = record.version, record.offset_bps
                self.residuals_bps = []
            case MarkAfter():
                self.after.pop(after_key(record.parent, record.client_id, record.minutes), None)
                if record.client_id and record.minutes == LAST_MARK_MINUTES:
                    self.singles.pop(record.client_id, None)
            case ChildFilled(parent=number) if number == SINGLE:
                pass
            case ChildEnded(parent=number) if number == SINGLE:
                if record.client_id in self.singles:
                    self._look_again(SINGLE, record.client_id, record.at_ns)
            case _:
                parent = self.parents.get(record.parent)
                if parent is not None:
                    self._change(parent, record)

    def get(self, number: int) -> Parent | None:
        """A parent by its number."""
        return self.parents.get(number)

    def open_parents(self) -> list[Parent]:
        """Parents that have not ended, oldest first."""
        return [parent for parent in self.parents.values() if not parent.is_ended]

    def _open(self, record: ParentOpened) -> None:
        self.parents[record.parent] = Parent(opened=record, changed_ns=record.decision_ns)
        self.next_parent = max(self.next_parent, record.parent + 1)
        if self.keep_all or len(self.parents) <= MAX_KEPT_PARENTS:
            return
        for number, parent in self.parents.items():
            if parent.is_ended:
                del self.parents[number]
                return

    def _change(self, parent: Parent, record: ExecutionRecord) -> None:
        match record:
            case ParentChanged():
                if not parent.is_ended:
                    parent.state, parent.then = ParentState(record.state), record.then
                    parent.reason, parent.actor = record.reason, record.actor
                    parent.changed_ns = record.at_ns
            case ParentEnded():
                parent.state, parent.reason = ParentState(record.state), record.reason
                parent.actor, parent.changed_ns, parent.ended = record.actor, record.at_ns, record
                parent.external_lots, parent.external_value = record.external_lots, record.external_value
                if record.residual_bps is not None:
                    self.residuals_bps = [*self.residuals_bps, record.residual_bps][-MAX_RESIDUALS:]
                self._look_again(parent.number, "", record.at_ns)
            case ParentReplanned():
                parent.replans.append(record)
            case VolumeSeen():
                parent.external_lots, parent.external_value = record.lots, record.value
            case ChildOpened():
                self._open_child(parent, record)
            case ChildFilled():
                self._fill(parent, record)
            case ChildEnded():
                child = parent.children.get(record.client_id)
                if child is not None and child.is_open:
                    child.state, child.reason, child.ended_ns = record.state, record.reason, record.at_ns
                    self._trim(parent, record.at_ns)
            case _:
                raise TypeError(f"{type(record).__name__} is not a record of a parent")

    def _look_again(self, number: int, client_id: str, at_ns: int) -> None:
        for minutes in MARK_MINUTES:
            if len(self.after) < MAX_AFTER:
                self.after[after_key(number, client_id, minutes)] = at_ns + minutes * 60 * SECOND_NS

    def _open_child(self, parent: Parent, record: ChildOpened) -> None:
        parent.children[record.client_id] = Child(
            client_id=record.client_id,
            number=record.number,
            slice=record.slice,
            kind=record.kind,
            lots=record.lots,
            price_ticks=record.price_ticks,
            opened_ns=record.at_ns,
        )
        parent.children_count += 1
        parent.external_lots, parent.external_value = record.external_lots, record.external_value

    def _fill(self, parent: Parent, record: ChildFilled) -> None:
        child = parent.children.get(record.client_id)
        if child is not None:
            child.filled_lots += record.lots
            child.fees += record.fee
        parent.filled_lots += record.lots
        parent.value += record.price_ticks * record.lots
        parent.maker_lots += record.lots if record.maker else 0
        scale = parent.opened.scale
        fee = record.fee
        if record.fee_asset == scale.base:
            fee *= scale.tick * record.price_ticks
        parent.fees += fee
        parent.last_fill_ns = max(parent.last_fill_ns, record.at_ns)
        parent.fills.append(OwnFill(record.at_ns, record.lots))
        if not self.keep_all:
            oldest_ns = record.at_ns - 400 * SECOND_NS
            parent.fills = [fill for fill in parent.fills if fill.at_ns > oldest_ns][-MAX_KEPT_FILLS:]

    def _trim(self, parent: Parent, now_ns: int) -> None:
        if self.keep_all or len(parent.children) <= MAX_KEPT_CHILDREN:
            return
        for client_id, child in parent.children.items():
            if not child.held_lots(now_ns) and not child.is_open:
                del parent.children[client_id]
                return


def after_key(number: int, client_id: str, minutes: int) -> str:
    """Key of `Book.after`."""
    return f"{number}/{client_id}/{minutes}"


def adverse(side: Side) -> int:
    """1 for a buy (a higher price costs), -1 for a sell."""
    return 1 if side is Side.BUY else -1


def near_ticks(side: Side, mark: Mark) -> int:
    """The touch at which an order of this side rests."""
    return mark.bid_ticks if side is Side.BUY else mark.ask_ticks


def far_ticks(side: Side, mark: Mark) -> int:
    """The touch at which an order of this side trades at once."""
    return mark.ask_ticks if side is Side.BUY else mark.bid_ticks
