"""Kraken's two limits: a counter per API key for REST, one per account and pair in its engine (trading T4.2).

The two are never merged. A request is admitted or not as a whole: nothing is counted unless all of it fits.
New risk is admitted only while every open order can still be cancelled at once (T4.8).

The connector and the gateway use the same model: the gateway asks for everything as P0 and answers the
venue's own error for what is not granted.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from .blocks import FIREWALL_S, LOCKOUT_S, Block, Blocks, retry_after_ns
from .counting import UNITS, DecayingCounter, TokenBucket
from .facts import fact
from .verdicts import (
    ABOVE_BUDGET,
    GRANTED,
    LOST_SHARE,
    OPEN_ORDERS_LIMIT,
    SECOND_NS,
    TABLE_FULL,
    Denied,
    Priority,
    UnknownTier,
    Verdict,
    Wait,
    ceiling,
)

MAX_PAIRS: Final = 4_096
HEADROOM_PERCENT: Final = 85
PUBLIC_MAXIMUM: Final = 5
PUBLIC_DECAY_PER_S: Final = Decimal(1)
SMOOTH_RATE: Final = Decimal("0.8")
SMOOTH_BURST: Final = Decimal("0.2")
TOO_FAST_STATUS: Final = 429
FORBIDDEN_STATUS: Final = 403


class LimiterTableFull(RuntimeError):
    """More pairs than the model keeps have orders or points."""

    code = TABLE_FULL


class Action(StrEnum):
    """What the engine counts."""

    ADD = "add"
    AMEND = "amend"
    EDIT = "edit"
    CANCEL = "cancel"


FIXED_POINTS: Final = {Action.ADD: 1, Action.AMEND: 1, Action.EDIT: 1, Action.CANCEL: 0}
"""Charged even if the request then fails validation."""


class RestCall(msgspec.Struct, frozen=True, tag=True):
    """A private REST call: 2 points for ledgers and trade history, 0 for adding and cancelling, else 1.

    `leaves` points below the ceiling of its class stay free behind it, for what must not wait.
    """

    points: int = 1
    leaves: int = 0


class PublicCall(msgspec.Struct, frozen=True, tag=True):
    """A public REST call."""


class Engine(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """One action on one order, named by any id that stays the same while it lives.

    `replacement` is the id of the order that an EDIT makes.
    """

    action: Action
    pair: str
    order: str
    replacement: str = ""


class AddBatch(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """A batch of new orders of one pair: half a point each, rounded up."""

    pair: str
    orders: tuple[str, ...]


class CancelAll(msgspec.Struct, frozen=True, tag=True):
    """Cancels every open order of a pair, of every pair when None.

    Counted as the cancels that it is, and never held back by a prediction: only the venue's own block does.
    """

    pair: str | None = None


Item = RestCall | PublicCall | Engine | AddBatch | CancelAll


def age_points(action: Action, age_ns: int) -> int:
    """The part that depends on the time since the order was created or last amended."""
    if action is Action.ADD:
        return 0
    step = bisect_right(fact("kraken.ages_s"), age_ns // SECOND_NS)
    row: list[int] = fact("kraken.by_age")[action.value]
    return row[step] if step < len(row) else 0


class _Pair:
    """Counter, smoother and open orders of one pair. A birth of None: not yet confirmed, so of age zero."""

    def __init__(self, threshold: int, decay_per_s: Decimal) -> None:
        self.counter = DecayingCounter(threshold, decay_per_s)
        self.smoother = TokenBucket(decay_per_s * SMOOTH_RATE, max(1, int(threshold * SMOOTH_BURST)))
        self.born_ns: dict[str, int | None] = {}


class _Demand:
    """What a request would do to one pair."""

    def __init__(self, pair: _Pair) -> None:
        self.points = 0
        self.orders = dict(pair.born_ns)
        self.new_risk = False

    def age_ns(self, order: str, now_ns: int) -> int:
        born_ns = self.orders.get(order)
        return 0 if born_ns is None else max(0, now_ns - born_ns)

    def reserve(self, now_ns: int) -> int:
        """Points that cancelling every order at once takes."""
        return sum(age_points(Action.CANCEL, self.age_ns(order, now_ns)) for order in self.orders)


class KrakenState(msgspec.Struct, kw_only=True):
    """What is saved of a model: levels in `counting.UNITS`, ages of orders in ns (None: unconfirmed)."""

    tier: str
    rest_units: int
    public_units: int
    pair_units: dict[str, int]
    ages_ns: dict[str, dict[str, int | None]]
    blocks: dict[str, tuple[int, str, bool]]


class KrakenLimits:
    """The limits of one API key. `now_ns` is any clock that is steady; one that goes back stands still."""

    def __init__(self, tier: str) -> None:
        """Raises `UnknownTier`: there is no safe tier to assume."""
        rest, engine = fact("kraken.rest"), fact("kraken.engine")
        if tier not in rest or tier not in engine:
            raise UnknownTier(f"{tier!r} is no tier; there are {', '.join(sorted(rest))}")
        self.tier = tier
        maximum, decay = rest[tier]
        self.threshold, engine_decay, self.max_open_orders = engine[tier]
        self._engine_decay = Decimal(engine_decay)
        self._rest = DecayingCounter(maximum, Decimal(decay))
        self._rest_smoother = TokenBucket(Decimal(decay) * SMOOTH_RATE, max(1, int(maximum * SMOOTH_BURST)))
        self._public = DecayingCounter(PUBLIC_MAXIMUM, PUBLIC_DECAY_PER_S)
        self._pairs: dict[str, _Pair] = {}
        self._blocks = Blocks()
        self._lock = threading.Lock()
        self._now_ns = 0
        self._lost = False

    # ---- asking ------------------------------------------------------------------------------------

    def admit(self, cls: Priority, items: Sequence[Item], now_ns: int) -> Verdict:
        """Counts the whole request when all of it fits, else nothing."""
        with self._lock:
            now_ns = self._steady(now_ns)
            block = self._blocks.find(_scopes(items), now_ns)
            if block is not None:
                return Wait(block.until_ns, block.reason)
            calls = [one for one in items if isinstance(one, RestCall) and one.points]
            rest, leaves = sum(one.points for one in calls), max((one.leaves for one in calls), default=0)
            public = sum(isinstance(one, PublicCall) for one in items)
            try:
                demands = self._demands(items, now_ns)
            except LimiterTableFull:
                return Denied(TABLE_FULL)
            waits = [
                self._wait(self._rest, cls, rest, now_ns, leaves),
                self._wait(self._public, Priority.P0, public, now_ns),
                *(self._engine_wait(cls, name, demand, now_ns) for name, demand in demands.items()),
            ]
            if cls >= Priority.P3:
                waits += self._smoothing(rest, demands, now_ns)
            for wait in waits:
                if isinstance(wait, Denied):
                    return wait
            latest = max((wait for wait in waits if isinstance(wait, int)), default=now_ns)
            if latest > now_ns:
                return Wait(latest)
            self._charge(cls, rest, public, demands, now_ns)
            return GRANTED

    def _demands(self, items: Sequence[Item], now_ns: int) -> dict[str, _Demand]:
        found: dict[str, _Demand] = {}
        for item in items:
            match item:
                case Engine(pair=name):
                    demand = found.setdefault(name, _Demand(self._pair(name)))
                    self._one(demand, item, now_ns)
                case AddBatch(pair=name, orders=orders):
                    demand = found.setdefault(name, _Demand(self._pair(name)))
                    demand.points += -(-len(orders) // 2)
                    demand.orders.update(dict.fromkeys(orders))
                    demand.new_risk = True
                case CancelAll(pair=only):
                    for name in [only] if only is not None else list(self._pairs):
                        demand = found.setdefault(name, _Demand(self._pair(name)))
                        room = self.threshold - -(-self._pairs[name].counter.units(now_ns) // UNITS)
                        demand.points += max(0, min(demand.reserve(now_ns), room - demand.points))
                        demand.orders.clear()
        return found

    @staticmethod
    def _one(demand: _Demand, item: Engine, now_ns: int) -> None:
        demand.points += FIXED_POINTS[item.action] + age_points(
            item.action, demand.age_ns(item.order, now_ns)
        )
        if item.action is Action.CANCEL:
            demand.orders.pop(item.order, None)
            return
        demand.new_risk = True
        if item.action is Action.EDIT:
            demand.orders.pop(item.order, None)
        # An amended order is a fresh one to the next cancel.
        demand.orders[item.replacement or item.order] = None

    @staticmethod
    def _wait(
        counter: DecayingCounter, cls: Priority, points: int, now_ns: int, leaves: int = 0
    ) -> int | Denied:
        if points == 0:
            return now_ns
        most = ceiling(cls, counter.maximum)
        if leaves and points <= most:
            most = max(points, most - leaves)
        free_ns = counter.free_at_ns(points, most, now_ns)
        return Denied(ABOVE_BUDGET) if free_ns is None else free_ns

    def _engine_wait(self, cls: Priority, name: str, demand: _Demand, now_ns: int) -> int | Denied:
        pair = self._pairs[name]
        if len(demand.orders) > self.max_open_orders and len(demand.orders) > len(pair.born_ns):
            return Denied(OPEN_ORDERS_LIMIT)
        alone = self._wait(pair.counter, cls, demand.points, now_ns)
        if cls is Priority.P0 or not demand.new_risk or isinstance(alone, Denied):
            return alone
        percent = 100 if cls <= Priority.P1 else HEADROOM_PERCENT
        limit = self.threshold * percent // 100
        needed = demand.points + demand.reserve(now_ns)
        free_ns = pair.counter.free_at_ns(needed, limit, now_ns)
        older_ns = self._next_age_ns(demand, now_ns)
        if free_ns is None and older_ns is None:
            return Denied(ABOVE_BUDGET)
        # Orders become cheaper to cancel as they age, so an earlier look may already succeed.
        with_reserve = min(one for one in (free_ns, older_ns) if one is not None)
        return max(alone, with_reserve)

    @staticmethod
    def _next_age_ns(demand: _Demand, now_ns: int) -> int | None:
        """When the next confirmed order gets cheaper to cancel."""
        steps = [
            born_ns + age_s * SECOND_NS
            for born_ns in demand.orders.values()
            if born_ns is not None
            for age_s in fact("kraken.ages_s")
            if born_ns + age_s * SECOND_NS > now_ns
        ]
        return min(steps, default=None)

    def _smoothing(self, rest: int, demands: dict[str, _Demand], now_ns: int) -> list[int | Denied]:
        waits: list[int | Denied] = []
        if rest:
            waits.append(self._rest_smoother.free_at_ns(rest, now_ns))
        for name, demand in demands.items():
            if demand.points:
                waits.append(self._pairs[name].smoother.free_at_ns(demand.points, now_ns))
        return waits

    def _charge(
        self, cls: Priority, rest: int, public: int, demands: dict[str, _Demand], now_ns: int
    ) -> None:
        if rest:
            self._rest.charge(rest, now_ns)
        if public:
            self._public.charge(public, now_ns)
        for name, demand in demands.items():
            pair = self._pairs[name]
            pair.counter.charge(demand.points, now_ns)
            pair.born_ns = demand.orders
        if cls >= Priority.P3:
            if rest:
                self._rest_smoother.take(rest, now_ns)
            for name, demand in demands.items():
                if demand.points:
                    self._pairs[name].smoother.take(demand.points, now_ns)

    # ---- telling -----------------------------------------------------------------------------------

    def working(self, pair: str, order: str, now_ns: int) -> None:
        """The venue confirmed a new or amended order, or a reconciliation found it: its age counts from now.

        The order existed a little earlier, so its age is never taken too high.
        """
        with self._lock:
            self._pair(pair).born_ns[order] = self._steady(now_ns)

    def gone(self, pair: str, order: str) -> None:
        """The order ended: filled, cancelled, expired, refused, or proven never to have been there."""
        with self._lock:
            if pair in self._pairs:
                self._pairs[pair].born_ns.pop(order, None)

    def failed(self, action: Action, pair: str, now_ns: int) -> None:
        """A request failed validation at the venue: the fixed part is charged all the same."""
        with self._lock:
            self._pair(pair).counter.charge(FIXED_POINTS[action], self._steady(now_ns))

    def rest_report(self, points: Decimal, at_ns: int, now_ns: int) -> None:
        """The REST counter as the venue gave it."""
        with self._lock:
            self._rest.rebase(points, at_ns, self._steady(now_ns))

    def engine_report(self, pair: str, points: Decimal, at_ns: int, now_ns: int) -> None:
        """The `ratecounter` of an execution report re-bases the pair's counter."""
        with self._lock:
            self._pair(pair).counter.rebase(points, at_ns, self._steady(now_ns))

    def refused(self, error: str, now_ns: int, wall_ns: int, pair: str = "") -> Block | None:
        """What one of the venue's errors says about its limits; the block that follows, if one does.

        `wall_ns` is the Unix time, in which a throttle is given.
        """
        with self._lock:
            now_ns = self._steady(now_ns)
            block: Block | None = None
            if error.startswith("EAPI:Rate limit exceeded"):
                self._rest.fill(now_ns)
            elif error.startswith("EOrder:Rate limit exceeded"):
                self._pair(pair).counter.fill(now_ns)
            elif error.startswith("EService:Throttled"):
                block = Block(until_ns=now_ns + _throttle_ns(error, wall_ns), reason="Throttled")
            elif error.startswith("EGeneral:Temporary lockout"):
                block = Block(until_ns=now_ns + LOCKOUT_S * SECOND_NS, reason="Lockout", pages=True)
            if block is not None:
                self._blocks.add("", block)
            return block

    def status(self, status: int, retry_after: str | None, now_ns: int) -> Block | None:
        """What an HTTP status says: 429 stops REST, 403 is the firewall."""
        with self._lock:
            now_ns = self._steady(now_ns)
            if status == TOO_FAST_STATUS:
                block = Block(until_ns=now_ns + retry_after_ns(retry_after), reason="TooManyRequests")
                self._blocks.add("rest", block)
                return block
            if status == FORBIDDEN_STATUS:
                block = Block(until_ns=now_ns + FIREWALL_S * SECOND_NS, reason="Firewall", pages=True)
                self._blocks.add("", block)
                return block
            return None

    # ---- looking -----------------------------------------------------------------------------------

    def levels(self, now_ns: int) -> dict[str, tuple[Decimal, int]]:
        """Level and maximum in points, by scope: `rest`, `public`, `engine:<pair>`."""
        with self._lock:
            now_ns = self._steady(now_ns)
            found = {
                "rest": (self._rest.points(now_ns), self._rest.maximum),
                "public": (self._public.points(now_ns), self._public.maximum),
            }
            for name, pair in self._pairs.items():
                found[f"engine:{name}"] = (pair.counter.points(now_ns), self.threshold)
            return found

    def block(self, now_ns: int) -> Block | None:
        """The block of the whole venue, if one is in force."""
        with self._lock:
            return self._blocks.find((), self._steady(now_ns))

    def open_orders(self, pair: str) -> tuple[str, ...]:
        """Orders of a pair that the model holds as open."""
        with self._lock:
            return tuple(self._pairs[pair].born_ns) if pair in self._pairs else ()

    # ---- keeping -----------------------------------------------------------------------------------

    def state(self, now_ns: int) -> KrakenState:
        """Everything that a restart has to know."""
        with self._lock:
            now_ns = self._steady(now_ns)
            return KrakenState(
                tier=self.tier,
                rest_units=self._rest.units(now_ns),
                public_units=self._public.units(now_ns),
                pair_units={name: pair.counter.units(now_ns) for name, pair in self._pairs.items()},
                ages_ns={
                    name: {one: None if born is None else now_ns - born for one, born in pair.born_ns.items()}
                    for name, pair in self._pairs.items()
                    if pair.born_ns
                },
                blocks=self._blocks.state(now_ns),
            )

    def restore(self, state: KrakenState | None, now_ns: int, elapsed_ns: int) -> None:
        """Continues from what was saved `elapsed_ns` ago; None, or another tier: everything is 70 % full."""
        with self._lock:
            now_ns = self._steady(now_ns)
            if state is None or state.tier != self.tier:
                self._lost = True
                self._rest.set_units(int(LOST_SHARE * self._rest.maximum * UNITS), now_ns, 0)
                self._public.set_units(int(LOST_SHARE * self._public.maximum * UNITS), now_ns, 0)
                for pair in self._pairs.values():
                    pair.counter.set_units(self._lost_units(), now_ns, 0)
                return
            self._rest.set_units(state.rest_units, now_ns, elapsed_ns)
            self._public.set_units(state.public_units, now_ns, elapsed_ns)
            for name, units in state.pair_units.items():
                self._pair(name).counter.set_units(units, now_ns, elapsed_ns)
            for name, ages in state.ages_ns.items():
                self._pair(name).born_ns = {
                    one: None if age is None else now_ns - age - elapsed_ns for one, age in ages.items()
                }
            self._blocks.restore(state.blocks, now_ns, elapsed_ns)

    def _lost_units(self) -> int:
        return int(LOST_SHARE * self.threshold * UNITS)

    def _pair(self, name: str) -> _Pair:
        pair = self._pairs.get(name)
        if pair is None:
            if len(self._pairs) >= MAX_PAIRS:
                self._drop_idle()
            pair = self._pairs[name] = _Pair(self.threshold, self._engine_decay)
            if self._lost:
                # Nobody knows what the account did in this pair before; the time since then counts.
                pair.counter.set_units(self._lost_units(), self._now_ns, 0)
        return pair

    def _drop_idle(self) -> None:
        """Forgets the pairs that a new one would not differ from."""
        for name, pair in list(self._pairs.items()):
            if not pair.born_ns and pair.counter.units(self._now_ns) == 0:
                del self._pairs[name]
        if len(self._pairs) >= MAX_PAIRS:
            raise LimiterTableFull(f"{MAX_PAIRS} pairs are in use")

    def _steady(self, now_ns: int) -> int:
        self._now_ns = max(self._now_ns, now_ns)
        return self._now_ns


def _scopes(items: Iterable[Item]) -> tuple[str, ...]:
    return ("rest",) if any(isinstance(one, RestCall | PublicCall) for one in items) else ()


def _throttle_ns(error: str, wall_ns: int) -> int:
    """Length of the wait that `EService:Throttled:<unix_s>` asks for; a minute when it names no moment."""
    text = error.rpartition(":")[2].strip()
    if not (text.isascii() and text.isdigit()):
        return retry_after_ns(None)
    return min(max(0, int(text[:12]) * SECOND_NS - wall_ns), LOCKOUT_S * SECOND_NS)
