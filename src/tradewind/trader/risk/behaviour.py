"""Behaviour controls (T11.8): what patterns of orders and results lead to, per strategy and human operator.

They look at orders, cancels, amends and realised results only. They never stop a cancel or an order that
reduces: `check` is asked about new risk alone. Everything is bounded and survives a restart (`take`, `load`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from decimal import Decimal
from enum import StrEnum
from statistics import median
from typing import TypeVar

import msgspec

from tradewind.venues.market_data import Side

from .model import SECOND_NS, Code, Denied, Order, Path
from .records import BehaviourEvent

MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
DAY_NS = 24 * HOUR_NS
MAX_ACTORS = 256
MAX_MOMENTS = 4_096
MAX_TRACKED = 256
MAX_PENDING_EVENTS = 1_024
REST = "(all others)"
ONE = Decimal(1)

STOP_OUTS = 3
COOL_DOWN_NS = 30 * MINUTE_NS
REENTRY_NS = 60 * SECOND_NS
QUICK_CANCEL_NS = 5 * SECOND_NS
CANCEL_WINDOW_NS = 15 * MINUTE_NS
CANCEL_ORDERS, CANCEL_SHARE = 50, Decimal("0.40")
CANCEL_MESSAGES = Decimal("0.25")
AMENDS, AMEND_WINDOW_NS = 5, 60 * SECOND_NS
RATE_WINDOW_NS = 15 * MINUTE_NS
RATE_HIGH, RATE_CALM, RATE_SIZE = Decimal(2), Decimal("1.2"), Decimal("0.5")
BASELINE_DAYS, BASELINE_LEAST_DAYS = 30, 7
OVERRIDES = 2
SIZE_ORDERS, SIZE_LEAST_ORDERS, SIZE_SHARE = 20, 3, Decimal("1.5")
LOSS_WINDOW_NS = 10 * MINUTE_NS
EVENTS = 3
Item = TypeVar("Item")


class Pattern(StrEnum):
    """The patterns and, in the comment, what each leads to."""

    STOP_OUTS = "stop-outs"  # three in a row within 24 h: no new risk for 30 min
    REENTRY = "re-entry"  # same symbol and side within 60 s of a stop: denied
    CANCEL_RATIO = "cancel-ratio"  # over 40 % of 50 orders within 5 s: a quarter of the messages for 15 min
    AMENDS = "amends"  # over 5 of one order within 60 s: no further ones for 60 s
    ORDER_RATE = "order-rate"  # over twice the usual hour for 15 min: half the size until below 1.2 times
    OVERRIDES = "overrides"  # over two a day: a second person
    SIZE_AFTER_LOSS = "size-after-loss"  # over 1.5 medians within 10 min of a loss: denied
    EVENTS = "events"  # three of these in 24 h: reduce only until the next day, or approval


class Actor(msgspec.Struct, kw_only=True):
    """What is remembered of one strategy or operator. Moments are nanoseconds since 1970."""

    human: bool = False
    stops: list[int] = []
    stopped: dict[str, int] = {}
    reentered: dict[str, int] = {}
    placed: list[int] = []
    quick: list[int] = []
    amends: dict[str, list[int]] = {}
    amend_until: dict[str, int] = {}
    sizes: list[Decimal] = []
    loss_ns: int = 0
    loss_denied_ns: int = 0
    hours: dict[int, int] = {}
    overrides: list[int] = []
    events: list[int] = []
    until: dict[str, int] = {}
    fast: bool = False
    waits_for_approval: bool = False


class Behaviour:
    """All actors. `quoting` names strategies that live from quoting: their cancels and amends are their work,
    and their sizes follow a schedule, so that they are compared with the largest of the last twenty.
    """

    def __init__(self) -> None:
        self.actors: dict[str, Actor] = {}
        self.quoting: set[str] = set()
        self._events: deque[BehaviourEvent] = deque(maxlen=MAX_PENDING_EVENTS)

    # ---- what is asked -----------------------------------------------------------------------------

    def check(self, order: Order, notional: Decimal, now_ns: int, out: list[Denied]) -> None:
        """What stands against new risk of this order's strategy or operator now."""
        actor = self.actors.get(order.strategy)
        if actor is None:
            return
        until_ns = actor.until.get(Pattern.EVENTS, 0)
        if actor.waits_for_approval or now_ns < until_ns:
            detail = "until approval" if actor.waits_for_approval else f"until {until_ns} ns"
            out.append(Denied(code=Code.STATE_REDUCE_ONLY, limit="T11.8", detail=f"behaviour, {detail}"))
        until_ns = actor.until.get(Pattern.STOP_OUTS, 0)
        if now_ns < until_ns:
            out.append(Denied(code=Code.COOL_DOWN, limit="T11.8", detail=f"until {until_ns} ns"))
        if order.replaces is not None:
            if now_ns < actor.amend_until.get(order.replaces, 0):
                out.append(Denied(code=Code.AMEND_THROTTLE, limit="T11.8", bound=Decimal(AMENDS)))
        else:
            self._check_entry(actor, order, now_ns, out)
        self._check_size(actor, order, notional, now_ns, out)
        if order.path is Path.MANUAL and not order.second and self.needs_second(order.strategy, now_ns):
            out.append(Denied(code=Code.OVERRIDE_LIMIT, limit="T11.8", bound=Decimal(OVERRIDES)))

    def _check_entry(self, actor: Actor, order: Order, now_ns: int, out: list[Denied]) -> None:
        place = _place(order.symbol, order.side)
        stop_ns = actor.stopped.get(place)
        if stop_ns is None or now_ns - stop_ns >= REENTRY_NS:
            return
        given = Decimal(now_ns - stop_ns) / SECOND_NS
        out.append(Denied(code=Code.REENTRY, limit="T11.8", bound=Decimal(60), given=given))
        if actor.reentered.get(place) != stop_ns:
            _bounded(actor.reentered, place, stop_ns)
            self._note(actor, order.strategy, Pattern.REENTRY, symbol=order.symbol, now_ns=now_ns, until_ns=0)

    def _check_size(
        self, actor: Actor, order: Order, notional: Decimal, now_ns: int, out: list[Denied]
    ) -> None:
        if not actor.loss_ns or now_ns - actor.loss_ns > LOSS_WINDOW_NS:
            return
        if len(actor.sizes) < SIZE_LEAST_ORDERS:
            return
        usual = max(actor.sizes) if order.strategy in self.quoting else median(actor.sizes)
        bound = usual * SIZE_SHARE
        if notional <= bound:
            return
        out.append(Denied(code=Code.SIZE_AFTER_LOSS, limit="T11.8", bound=bound, given=notional))
        if actor.loss_denied_ns != actor.loss_ns:
            actor.loss_denied_ns = actor.loss_ns
            name, what = order.strategy, Pattern.SIZE_AFTER_LOSS
            self._note(actor, name, what, symbol=order.symbol, now_ns=now_ns, until_ns=0)

    def message_share(self, name: str, now_ns: int) -> Decimal:
        """Part of the message limit that is left for new risk."""
        actor = self.actors.get(name)
        held = actor is not None and now_ns < actor.until.get(Pattern.CANCEL_RATIO, 0)
        return CANCEL_MESSAGES if held else ONE

    def size_multiplier(self, name: str, now_ns: int) -> Decimal:
        """What sizes of this actor are multiplied with."""
        actor = self.actors.get(name)
        if actor is None:
            return ONE
        self._look_at_rate(actor, name, now_ns)
        return RATE_SIZE if actor.fast else ONE

    def needs_second(self, name: str, now_ns: int) -> bool:
        """Whether this operator has used the overrides of the day."""
        actor = self.actors.get(name)
        return actor is not None and _today(actor.overrides, now_ns) >= OVERRIDES

    # ---- what is seen --------------------------------------------------------------------------------

    def passed(self, order: Order, notional: Decimal, now_ns: int) -> None:
        """Risk let an order or an amend pass. An order counts from its decision, as recovery reads it."""
        moment_ns = order.decision_ns if order.replaces is None else now_ns
        self.ordered(
            order.strategy, moment_ns, symbol=order.symbol, notional=notional, replaces=order.replaces,
            human=order.path is Path.MANUAL,
        )  # fmt: skip

    def ordered(
        self, name: str, now_ns: int, *, symbol: str, notional: Decimal, replaces: str | None = None,
        human: bool = False,
    ) -> None:  # fmt: skip
        """The same, as recovery reads it back from the journal."""
        actor = self._actor(name, human)
        if replaces is not None:
            self._amended(actor, name, replaces, symbol, now_ns)
            return
        _append(actor.placed, now_ns, MAX_MOMENTS)
        _append(actor.sizes, notional, SIZE_ORDERS)
        hour = now_ns // HOUR_NS
        if hour not in actor.hours:
            for old in [one for one in actor.hours if one < hour - BASELINE_DAYS * 24]:
                del actor.hours[old]
        actor.hours[hour] = actor.hours.get(hour, 0) + 1
        self._look_at_rate(actor, name, now_ns)

    def _amended(self, actor: Actor, name: str, client_id: str, symbol: str, now_ns: int) -> None:
        if name in self.quoting:
            return
        moments = [one for one in actor.amends.get(client_id, ()) if now_ns - one < AMEND_WINDOW_NS]
        moments.append(now_ns)
        _bounded(actor.amends, client_id, moments)
        if len(moments) > AMENDS:
            until_ns = now_ns + AMEND_WINDOW_NS
            _bounded(actor.amend_until, client_id, until_ns)
            self._note(actor, name, Pattern.AMENDS, symbol=symbol, now_ns=now_ns, until_ns=until_ns)

    def cancelled(self, name: str, placed_ns: int, now_ns: int, *, human: bool = False) -> None:
        """An order was cancelled by its owner."""
        if name in self.quoting or now_ns - placed_ns > QUICK_CANCEL_NS:
            return
        actor = self._actor(name, human)
        _append(actor.quick, now_ns, MAX_MOMENTS)
        orders = _within(actor.placed, now_ns, CANCEL_WINDOW_NS)
        quick = _within(actor.quick, now_ns, CANCEL_WINDOW_NS)
        held = now_ns < actor.until.get(Pattern.CANCEL_RATIO, 0)
        if not held and orders >= CANCEL_ORDERS and quick > CANCEL_SHARE * orders:
            actor.until[Pattern.CANCEL_RATIO] = until_ns = now_ns + CANCEL_WINDOW_NS
            share = f"{quick} of {orders}"
            self._note(
                actor, name, Pattern.CANCEL_RATIO, symbol="", now_ns=now_ns, until_ns=until_ns, detail=share
            )

    def closed(
        self, name: str, symbol: str, side: Side, realised: Decimal, *, stopped: bool, now_ns: int,
        human: bool = False,
    ) -> None:  # fmt: skip
        """A position that was entered on `side` was closed or reduced, with this result in quote units;
        `stopped`: by its stop.
        """
        actor = self._actor(name, human)
        if realised < 0:
            actor.loss_ns = now_ns
        if not stopped:
            actor.stops = []
            return
        _bounded(actor.stopped, _place(symbol, side), now_ns)
        actor.stops = [*[one for one in actor.stops if now_ns - one < DAY_NS][-STOP_OUTS:], now_ns]
        if len(actor.stops) >= STOP_OUTS:
            actor.until[Pattern.STOP_OUTS] = until_ns = now_ns + COOL_DOWN_NS
            actor.stops = []
            self._note(actor, name, Pattern.STOP_OUTS, symbol=symbol, now_ns=now_ns, until_ns=until_ns)

    def overridden(self, name: str, now_ns: int) -> None:
        """An operator overrode a control by hand."""
        actor = self._actor(name, True)
        actor.overrides = [*actor.overrides[-OVERRIDES:], now_ns]
        if _today(actor.overrides, now_ns) > OVERRIDES:
            until_ns = (now_ns // DAY_NS + 1) * DAY_NS
            self._note(actor, name, Pattern.OVERRIDES, symbol="", now_ns=now_ns, until_ns=until_ns)

    def approve(self, name: str) -> bool:
        """A second person lets an operator take risk again. False: there was nothing to approve."""
        actor = self.actors.get(name)
        if actor is None or not actor.waits_for_approval:
            return False
        actor.waits_for_approval, actor.events = False, []
        return True

    # ---- parts ---------------------------------------------------------------------------------------

    def _look_at_rate(self, actor: Actor, name: str, now_ns: int) -> None:
        hour = now_ns // HOUR_NS
        days = min((hour - next(iter(actor.hours), hour)) // 24, BASELINE_DAYS)
        if days < BASELINE_LEAST_DAYS:
            actor.fast = False
            return
        counts = [actor.hours.get(hour - 24 * day, 0) for day in range(1, days + 1)]
        if not any(counts):
            actor.fast = False
            return
        baseline = Decimal(sum(counts)) / days
        rate = Decimal(_within(actor.placed, now_ns, RATE_WINDOW_NS) * 4)
        if actor.fast:
            actor.fast = rate >= RATE_CALM * baseline
        elif rate > RATE_HIGH * baseline:
            actor.fast = True
            detail = f"{rate} against {baseline:f} an hour"
            self._note(actor, name, Pattern.ORDER_RATE, symbol="", now_ns=now_ns, until_ns=0, detail=detail)

    def _note(
        self, actor: Actor, name: str, pattern: Pattern, *, symbol: str, now_ns: int, until_ns: int,
        detail: str = "",
    ) -> None:  # fmt: skip
        self._tell(name, pattern, symbol=symbol, now_ns=now_ns, until_ns=until_ns, detail=detail)
        actor.events = [*[one for one in actor.events if now_ns - one < DAY_NS][-EVENTS:], now_ns]
        if len(actor.events) < EVENTS:
            return
        if actor.human:
            actor.waits_for_approval = True
            detail = "until approval"
            self._tell(name, Pattern.EVENTS, symbol="", now_ns=now_ns, until_ns=0, detail=detail)
        elif now_ns >= actor.until.get(Pattern.EVENTS, 0):
            actor.until[Pattern.EVENTS] = until_ns = (now_ns // DAY_NS + 1) * DAY_NS
            self._tell(name, Pattern.EVENTS, symbol="", now_ns=now_ns, until_ns=until_ns)

    def _tell(
        self, name: str, pattern: Pattern, *, symbol: str, now_ns: int, until_ns: int, detail: str = ""
    ) -> None:
        self._events.append(
            BehaviourEvent(
                actor=name, pattern=str(pattern), symbol=symbol, at_ns=now_ns, until_ns=until_ns,
                detail=detail,
            )
        )  # fmt: skip

    def _actor(self, name: str, human: bool) -> Actor:
        if name not in self.actors and len(self.actors) >= MAX_ACTORS:
            name = REST
        actor = self.actors.setdefault(name, Actor())
        actor.human = actor.human or human
        return actor

    def restore(self, event: BehaviourEvent) -> None:
        """An event as the journal has it (recovery): what it led to holds as long as it said."""
        actor = self._actor(event.actor, False)
        if event.pattern == Pattern.EVENTS and not event.until_ns:
            actor.human = actor.waits_for_approval = True
        elif event.pattern in (Pattern.EVENTS, Pattern.STOP_OUTS, Pattern.CANCEL_RATIO):
            actor.until[event.pattern] = max(event.until_ns, actor.until.get(event.pattern, 0))
        if event.pattern != Pattern.EVENTS and event.at_ns not in actor.events:
            actor.events = [*actor.events[-EVENTS:], event.at_ns]

    def events(self) -> list[BehaviourEvent]:
        """What was seen since the last call: for the journal."""
        found = list(self._events)
        self._events.clear()
        return found

    # ---- checkpoint ----------------------------------------------------------------------------------

    def take(self) -> dict[str, Actor]:
        """Everything that is remembered."""
        return self.actors

    def load(self, actors: dict[str, Actor]) -> None:
        """Become what a checkpoint says."""
        self.actors = dict(actors)


def _place(symbol: str, side: Side) -> str:
    return f"{symbol} {'buy' if side is Side.BUY else 'sell'}"


def _bounded(memory: dict[str, int] | dict[str, list[int]], key: str, value: object) -> None:
    """Sets one entry; the oldest makes room."""
    memory.pop(key, None)
    while len(memory) >= MAX_TRACKED:
        del memory[next(iter(memory))]
    memory[key] = value  # type: ignore[assignment]


def _append(memory: list[Item], value: Item, most: int) -> None:
    """Adds at the end; the oldest makes room."""
    if len(memory) >= most:
        del memory[0]
    memory.append(value)


def _within(moments: list[int], now_ns: int, window_ns: int) -> int:
    """How many lie in the window; the older ones are forgotten."""
    del moments[: bisect_right(moments, now_ns - window_ns)]
    return len(moments)


def _today(moments: list[int], now_ns: int) -> int:
    return sum(one // DAY_NS == now_ns // DAY_NS for one in moments)
