"""What a parent wants now: one decision from its records, the market and the volume. No clock, no effects.

At most one child of a parent is open. A decision is one of: wait (with the reason, which is counted), place
a child, cancel the open one, change state, or end.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from tradewind.venues.market_data import Side

from . import schedule
from .book import WINDOW_NS, Child, Parent, adverse, far_ticks, near_ticks
from .model import Algorithm, Completion, ParentState
from .records import Mark

SECOND_NS: Final = 1_000_000_000
REPRICE_AFTER_NS: Final = 6 * SECOND_NS
"""A resting child follows the touch not before it is so old: fewer cancels, and none within 5 s (T11.8)."""
PRICE_ABORT_NS: Final = 10 * SECOND_NS
"""How long the mid must stay beyond the limit before the parent is aborted."""
CROSS_FOR_NS: Final = 60 * SECOND_NS
"""How long `cross_at_end` tries."""


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """The market of a symbol and the standing of its parent, as a decision sees them.

    `book` is "live", "empty", "crossed" or "suspect"; `mark` is None unless it is live. `state` is normal,
    reduce_only or halted; `reducing`: what is left of the parent cannot increase the position.
    """

    now_ns: int
    book: str
    mark: Mark | None
    bid_lots: int = 0
    ask_lots: int = 0
    online: bool = True
    max_spread_bps: Decimal = Decimal(50)
    state: str = "normal"
    reducing: bool = False


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    """External volume: since the parent began, and of the last 60 s."""

    total_lots: int
    minute_lots: int
    interval_lots: int


class Wait(msgspec.Struct, frozen=True):
    """Nothing to do now; empty reason: everything is as planned."""

    reason: str = ""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A new child. `kind` is rest (post-only, until cancelled) or cross (immediate or cancel)."""

    kind: str
    lots: int
    price_ticks: int
    slice: int


class Cancel(msgspec.Struct, frozen=True):
    """Cancel the open child."""

    client_id: str
    reason: str


class Turn(msgspec.Struct, frozen=True):
    """Change to another state; `then`: where to go when the children have ended."""

    state: ParentState
    then: str
    reason: str


class End(msgspec.Struct, frozen=True):
    """The parent has ended."""

    state: ParentState
    reason: str


Decision = Wait | Place | Cancel | Turn | End


def decide(parent: Parent, market: Market, volume: Volume, beyond_since_ns: int | None) -> Decision:
    """The one thing to do now. `beyond_since_ns`: since when the mid is beyond the limit, None when it is
    not.
    """
    now = _ending(parent) or _standing(parent, market) or _stopping(parent, market, beyond_since_ns)
    if now is not None:
        return now
    blocked, child = block_reason(market), parent.open_child
    if blocked:
        unsafe = child is not None and market.book != "live"
        return Cancel(child.client_id, blocked) if unsafe and child is not None else Wait(blocked)
    assert market.mark is not None
    return _work(parent, market, market.mark, volume)


def _ending(parent: Parent) -> Decision | None:
    """What is to be done when the parent is at its end; None: it is not."""
    opened, child = parent.opened, parent.open_child
    if parent.filled_lots > opened.lots:
        return End(ParentState.OVERFILLED, f"{parent.filled_lots} of {opened.lots} lots filled")
    if parent.filled_lots == opened.lots:
        return End(ParentState.COMPLETED, "filled")
    if parent.state is not ParentState.ENDING:
        return None
    if child is not None:
        return Cancel(child.client_id, parent.reason)
    return End(ParentState(parent.then), parent.reason)


def _standing(parent: Parent, market: Market) -> Decision | None:
    """What a parent does that is paused or left to an operator; None: it is neither."""
    if parent.state not in {ParentState.PAUSED, ParentState.HANDED}:
        return None
    if parent.state is ParentState.PAUSED and market.now_ns >= parent.opened.end_ns:
        return _at_deadline(parent)
    child = parent.open_child
    return Wait(str(parent.state)) if child is None else Cancel(child.client_id, str(parent.state))


def _stopping(parent: Parent, market: Market, beyond_since_ns: int | None) -> Decision | None:
    """Aborts and deadlines; None: the schedule goes on."""
    reason = abort_reason(parent, market, beyond_since_ns)
    if reason:
        return _stop(parent, ParentState.ABORTED, reason)
    if parent.state is ParentState.WORKING and market.now_ns >= parent.opened.end_ns:
        return _at_deadline(parent)
    if parent.state is ParentState.FINISHING and market.now_ns >= finish_until_ns(parent):
        return Turn(ParentState.ENDING, str(ParentState.PARTIAL), "the completion policy ran out of time")
    return None


def finish_until_ns(parent: Parent) -> int:
    """Until when the completion policy works on the rest."""
    opened = parent.opened
    if opened.completion == Completion.CROSS_AT_END:
        return opened.end_ns + CROSS_FOR_NS
    return opened.end_ns + (opened.end_ns - opened.start_ns)


def _at_deadline(parent: Parent) -> Decision:
    """The time is over: what the completion policy says (T13.7)."""
    match Completion(parent.opened.completion):
        case Completion.FINISH_PASSIVE | Completion.CROSS_AT_END as policy:
            return Turn(ParentState.FINISHING, "", f"the time is over: {policy}")
        case Completion.HAND_TO_OPERATOR:
            return Turn(ParentState.HANDED, "", "the time is over: hand_to_operator")
        case Completion.CANCEL_REST:
            return Turn(ParentState.ENDING, str(ParentState.PARTIAL), "the time is over: cancel_rest")


def _stop(parent: Parent, then: ParentState, reason: str) -> Decision:
    if parent.opened.completion == Completion.HAND_TO_OPERATOR:
        return Turn(ParentState.HANDED, "", reason)
    return Turn(ParentState.ENDING, str(then), reason)


# ---- reasons to stop and to wait -----------------------------------------------------------------------


def abort_reason(parent: Parent, market: Market, beyond_since_ns: int | None) -> str:
    """Why the parent must stop (T13.7); empty: nothing."""
    if market.state == "halted" or (market.state == "reduce_only" and not market.reducing):
        return f"the trading state is {market.state}"
    if beyond_since_ns is not None and market.now_ns - beyond_since_ns >= PRICE_ABORT_NS:
        return f"the mid is beyond the limit for {PRICE_ABORT_NS // SECOND_NS} s"
    cost = projected_cost_bps(parent, market)
    bound = parent.opened.max_cost_bps
    if bound is not None and cost is not None and cost > bound:
        return f"finishing would cost {cost:.2f} bps against the arrival mid, at most {bound} are allowed"
    return ""


def beyond_limit(parent: Parent, mark: Mark) -> bool:
    """Whether the mid has passed the limit. What rests at its limit (iceberg) waits instead."""
    limit = parent.opened.limit_ticks
    if limit is None or parent.opened.algorithm == Algorithm.ICEBERG:
        return False
    return (mark.mid_ticks - limit) * adverse(parent.opened.side) > 0


def projected_cost_bps(parent: Parent, market: Market) -> Decimal | None:
    """Cost against the arrival mid if the rest traded at the far touch now, in bps of the whole parent."""
    if market.mark is None:
        return None
    opened = parent.opened
    arrival = opened.arrival.mid_ticks
    rest = parent.remaining_lots * far_ticks(opened.side, market.mark)
    average = Decimal(parent.value + rest) / opened.lots
    return (average - arrival) * adverse(opened.side) * 10_000 / arrival


def block_reason(market: Market) -> str:
    """Why no child may be placed now (T13.2); empty: nothing."""
    if market.book != "live" or market.mark is None:
        return f"book {market.book}"
    if not market.online:
        return "venue not online"
    spread = market.mark.ask_ticks - market.mark.bid_ticks
    if spread * 10_000 > market.max_spread_bps * market.mark.mid_ticks:
        return "wide spread"
    return ""


# ---- work ----------------------------------------------------------------------------------------------


def _work(parent: Parent, market: Market, mark: Mark, volume: Volume) -> Decision:
    opened, child = parent.opened, parent.open_child
    number = schedule.slice_at(parent, market.now_ns)
    kind = _kind(parent, market.now_ns, number)
    if child is not None:
        return _keep(parent, child, market, volume, kind)
    price = price_ticks(parent, mark, kind)
    if kind == "cross" and (far_ticks(opened.side, mark) - price) * adverse(opened.side) > 0:
        return Wait("limit")
    due = _due(parent, market.now_ns, volume, number)
    if due <= 0:
        return Wait()
    if kind == "cross":
        shown = market.ask_lots if opened.side is Side.BUY else market.bid_lots
        due = min(due, max(shown, parent.minimum_lots(price)))
    wanted = Place(kind=kind, lots=due, price_ticks=price, slice=number)
    return _size(parent, wanted, market.now_ns, volume)


def _kind(parent: Parent, now_ns: int, number: int) -> str:
    """Whether a child rests or crosses now."""
    opened = parent.opened
    if parent.state is ParentState.FINISHING:
        return "cross" if opened.completion == Completion.CROSS_AT_END else "rest"
    if opened.algorithm == Algorithm.POV:
        return "cross"
    if opened.algorithm == Algorithm.ICEBERG:
        return "rest"
    begin_ns = schedule.slice_start_ns(parent, number)
    length_ns = schedule.slice_start_ns(parent, number + 1) - begin_ns
    return "rest" if now_ns < begin_ns + int(length_ns * opened.terms.passive_pct / 100) else "cross"


def worst_ticks(parent: Parent, mark: Mark, kind: str) -> int | None:
    """The price that no child passes: the limit, the largest cost, and at the end the policy's own bound."""
    opened, sign = parent.opened, adverse(parent.opened.side)
    bounds = [opened.limit_ticks] if opened.limit_ticks is not None else []
    if opened.max_cost_bps is not None:
        bounds.append(_away(opened.arrival.mid_ticks, opened.max_cost_bps, sign))
    if parent.state is ParentState.FINISHING and kind == "cross" and opened.completion_bps is not None:
        bounds.append(_away(mark.mid_ticks, opened.completion_bps, sign))
    if not bounds:
        return None
    return min(bounds) if sign > 0 else max(bounds)


def _away(mid_ticks: Decimal, bps: Decimal, sign: int) -> int:
    """A price so many bps worse than the mid, rounded towards the mid."""
    price = mid_ticks * (1 + sign * bps / 10_000)
    return int(price) if sign > 0 or price == int(price) else int(price) + 1


def price_ticks(parent: Parent, mark: Mark, kind: str) -> int:
    """Price of a child: the near or the far touch, never worse than the bound."""
    side = parent.opened.side
    price = near_ticks(side, mark) if kind == "rest" else far_ticks(side, mark)
    worst = worst_ticks(parent, mark, kind)
    if worst is None:
        return price
    return min(price, worst) if side is Side.BUY else max(price, worst)


def _keep(parent: Parent, child: Child, market: Market, volume: Volume, kind: str) -> Decision:
    """What to do with the open child."""
    mark, now_ns = market.mark, market.now_ns
    if child.kind == "cross" or mark is None:
        return Wait()
    strands = 0 < parent.remaining_lots < parent.venue_minimum_lots(child.price_ticks)
    if kind == "cross" and not strands:
        return Cancel(child.client_id, "time to cross")
    cap = participation_lots(parent, now_ns, volume, own_open=False)
    if cap is not None and child.remaining_lots > cap and not strands:
        return Cancel(child.client_id, "participation")
    wanted = price_ticks(parent, mark, "rest")
    if wanted != child.price_ticks and now_ns - child.opened_ns >= REPRICE_AFTER_NS and not strands:
        return Cancel(child.client_id, "the touch has moved")
    return Wait()


def _due(parent: Parent, now_ns: int, volume: Volume, number: int) -> int:
    """Lots that the algorithm wants at the venue now, beyond what is committed."""
    opened, free = parent.opened, parent.free_lots(now_ns)
    if parent.state is ParentState.FINISHING:
        return free
    match Algorithm(opened.algorithm):
        case Algorithm.POV:
            return pov_due_lots(parent, volume) - parent.committed_lots(now_ns)
        case Algorithm.ICEBERG:
            waiting = parent.last_fill_ns and now_ns < parent.last_fill_ns + schedule.refresh_ns(parent)
            return 0 if waiting else min(opened.terms.display_lots, free)
        case Algorithm.PASSIVE:
            return free
        case Algorithm.TWAP | Algorithm.VWAP:
            return schedule.target_of_slice(parent, number) - parent.committed_lots(now_ns)


def next_moment_ns(parent: Parent, now_ns: int) -> int:
    """A moment within the next seconds at which a decision will differ by time alone; 0: none."""
    if parent.opened.algorithm != Algorithm.ICEBERG or not parent.last_fill_ns or parent.open_child:
        return 0
    refresh_ns = parent.last_fill_ns + schedule.refresh_ns(parent)
    return refresh_ns if refresh_ns > now_ns else 0


def pov_due_lots(parent: Parent, volume: Volume) -> int:
    """target / (1 - target) of the external volume so far: the carry is in it (T13.5)."""
    assert parent.opened.terms.participation_pct is not None
    return int(_ratio(parent.opened.terms.participation_pct) * volume.total_lots)


def _ratio(participation_pct: Decimal) -> Decimal:
    """Own lots per external lot at a participation."""
    return participation_pct / (100 - participation_pct)


def cap_pct(parent: Parent) -> Decimal | None:
    """The participation that no 60 s exceed: twice the target of POV, else the cap; None: there is none."""
    share = parent.opened.terms.participation_pct
    if share is None:
        return None
    return share * 2 if parent.opened.algorithm == Algorithm.POV else share


def participation_lots(parent: Parent, now_ns: int, volume: Volume, *, own_open: bool = True) -> int | None:
    """Lots that may still be placed under the cap: everything that was filled within 60 s, and that may
    still fill, counts. None without a cap.
    """
    cap = cap_pct(parent)
    if cap is None:
        return None
    own = parent.filled_since(now_ns - WINDOW_NS)
    if own_open:
        own += sum(child.held_lots(now_ns) for child in parent.children.values())
    return int(_ratio(cap) * volume.minute_lots) - own


def _catch_up_lots(parent: Parent, now_ns: int, number: int, minimum: int) -> int | None:
    """Lots that this slice may still place: twice its plan, or one least child (T13.2)."""
    if Algorithm(parent.opened.algorithm) not in {Algorithm.TWAP, Algorithm.VWAP}:
        return None
    if parent.state is ParentState.FINISHING:
        return None
    planned = max(schedule.CATCH_UP * schedule.planned_of_slice(parent, number), minimum)
    since_ns = schedule.slice_start_ns(parent, number)
    held = sum(child.held_lots(now_ns) for child in parent.children.values())
    return planned - parent.filled_since(since_ns) - held


def _size(parent: Parent, wanted: Place, now_ns: int, volume: Volume) -> Decision:
    """The child's size under every cap, and what to say when there is none."""
    minimum = parent.minimum_lots(wanted.price_ticks)
    least = parent.venue_minimum_lots(wanted.price_ticks)
    free = parent.free_lots(now_ns)
    if parent.remaining_lots < least and parent.open_child is None:
        rest = f"the rest of {parent.remaining_lots} lots is below the venue's minimum of {least}"
        return Turn(ParentState.ENDING, str(ParentState.PARTIAL), rest)
    if free <= 0 or (free < least and free < parent.remaining_lots):
        return Wait("late fills")
    cap = participation_lots(parent, now_ns, volume)
    if cap is not None and not volume.interval_lots:
        return Wait("no volume")
    room = [(free, "late fills"), (wanted.lots, "below minimum")]
    if cap is not None:
        room.append((cap, "participation"))
    catch_up = _catch_up_lots(parent, now_ns, wanted.slice, minimum)
    if catch_up is not None:
        room.append((catch_up, "catch-up"))
    lots, reason = min(room, key=lambda one: one[0])
    # A rest that could not be placed by itself goes with this child; where a cap forbids that, it waits.
    ceiling = min(amount for amount, why in room if why in {"late fills", "participation"})
    if 0 < free - lots < minimum and free <= ceiling:
        lots = free
    elif 0 < free - lots < minimum:
        lots, reason = free - minimum, "participation"
    if lots < minimum and not (lots == free and lots >= least):
        return Wait(reason)
    return msgspec.structs.replace(wanted, lots=lots)
