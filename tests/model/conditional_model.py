"""Orders that wait or come in parts (P2.5.3 to P2.5.5, P2.5.7), on top of the leveraged model.

A waiting order stands in no book and secures nothing. Prices that a command shows are looked at behind it:
what they reach joins its market's queue, and the queue runs ascending by order, each order as a new taker. An
iceberg's order holds what it displays; the rest is kept beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import exchange_model as base
import leverage_math as lm
from exchange_model import BUY, IOC, MAX_PRICE, Order, Refused
from leverage_model import Holder
from liquidation_model import LiquidationModel

STOP, STOP_LIMIT, TAKE_PROFIT, TRAILING_STOP, ICEBERG = 2, 3, 4, 5, 6
WAITING_TYPES = (STOP, STOP_LIMIT, TAKE_PROFIT, TRAILING_STOP)
BY_MARK, BY_INDEX, BY_LAST_TRADE = 0, 1, 2
OCO, TRAIL_PPM = 4, 16


@dataclass(frozen=True)
class Terms:
    """What an order has beyond a plain one; prices in ticks, 0 = none."""

    trigger_price: int = 0
    trail: int = 0
    source: int = BY_MARK
    display: int = 0
    linked: int | None = None
    """Number of the order that this one cancels and is cancelled by, or of its bracket's entry."""
    armed: bool = True
    """Exits of a bracket are armed by its entry: no price can have reached them before."""


@dataclass
class Waiting:
    kind: int
    source: int
    trigger: int
    trail: int
    in_ppm: bool
    limit: int
    """0 = at the market when it fires."""
    extreme: int = 0
    fired: bool = False
    armed: bool = True
    """An exit of a bracket is armed by its entry's first fill."""


@dataclass
class ConditionalModel(LiquidationModel):
    waiting: dict[int, Waiting] = field(default_factory=dict)
    display: dict[int, int] = field(default_factory=dict)
    hidden: dict[int, int] = field(default_factory=dict)
    partners: dict[int, int] = field(default_factory=dict)
    seen: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    """(market, source) → prices of the present command."""
    counts: dict[str, int] = field(default_factory=dict)
    """How often a stream reached what."""

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    # -- placing ------------------------------------------------------------------------------------------

    def place_special(self, order: Order, terms: Terms) -> int:
        self.need_sub(order.account, order.sub)
        if order.order_type in WAITING_TYPES:
            return self.after(self.place_waiting(order, terms))
        stated = order.price
        if order.order_type == ICEBERG and not 1 <= order.total <= base.MAX_LOTS:
            raise Refused("INVALID_SIZE")
        display = terms.display or lm.ceil_div(order.total, 10)
        if order.order_type == ICEBERG and not lm.ceil_div(order.total, 100) <= display <= order.total:
            self.check_limit(order)
            raise Refused("INVALID_DISPLAY_SIZE")
        self.check_form(order, stated)
        other = self.partner_of(order, terms)
        self.check_risk(order, None)
        self.check_execution(order)
        order.number = len(self.orders)
        if order.order_type == ICEBERG:
            self.display[order.number] = display
        self.pair(order.number, other)
        self.execute(order, self.band(order.market, order.side), new=True)
        return self.after(order.number)

    def check_limit(self, order: Order) -> None:
        """Domain and value of a limit, which come before what is special about the order."""
        market = self.markets[order.market]
        if not 1 <= order.price <= MAX_PRICE:
            raise Refused("INVALID_PRICE")
        value = lm.notional(order.price, order.total, market.unit)
        if not self.has_value_limits(order):
            return
        if value < market.min_notional:
            raise Refused("ORDER_TOO_SMALL")
        if value > market.max_notional:
            raise Refused("ORDER_TOO_LARGE")

    def check_waiting(self, order: Order, terms: Terms) -> Waiting:
        """Size, trigger and limit; sets the limit with which a market variant would fire."""
        if not 1 <= order.total <= base.MAX_LOTS:
            raise Refused("INVALID_SIZE")
        if order.order_type == STOP_LIMIT and not order.price:
            raise Refused("INVALID_TRIGGER")
        now = self.source_price(order.market, terms.source)
        if not now:
            raise Refused("INVALID_TRIGGER")
        in_ppm = bool(order.flags & TRAIL_PPM)
        waiting = Waiting(
            order.order_type, terms.source, terms.trigger_price, terms.trail, in_ppm, order.price, now
        )
        if order.order_type == TRAILING_STOP:
            most = 10**6 if in_ppm else MAX_PRICE - now if order.side == BUY else now - 1
            if terms.trigger_price:
                raise Refused("INVALID_TRIGGER")
            if not 1 <= terms.trail <= most:
                raise Refused("INVALID_TRAIL")
        elif not 1 <= terms.trigger_price <= MAX_PRICE:
            raise Refused("INVALID_TRIGGER")
        elif terms.armed and self.reaches(order, waiting, now):
            raise Refused("TRIGGER_WOULD_FIRE")
        if not waiting.limit:
            order.price = self.protected(order, self.stop_of(order, waiting))
        self.check_limit(order)
        return waiting

    def place_waiting(self, order: Order, terms: Terms) -> int:
        waiting = self.check_waiting(order, terms)
        other = self.partner_of(order, terms)
        order.number, order.is_open = len(self.orders), False
        self.orders.append(order)
        self.waiting[order.number] = waiting
        self.pair(order.number, other)
        self.count(f"placed {order.order_type}")
        return order.number

    def protected(self, order: Order, price: int) -> int:
        """The limit of what fires at the market: the slippage away from its trigger, rounded inward."""
        away, price = self.markets[order.market].slippage_bp, max(1, price)
        if order.side == BUY:
            return min(MAX_PRICE, price * (10_000 + away) // 10_000)
        return max(1, lm.ceil_div(price * (10_000 - away), 10_000))

    def partner_of(self, order: Order, terms: Terms) -> int | None:
        if terms.linked is None:
            return None
        known = terms.linked < len(self.orders)
        other = self.orders[terms.linked] if known else None
        if (
            other is None
            or not (other.is_open or terms.linked in self.waiting)
            or (other.account, other.sub, other.market) != (order.account, order.sub, order.market)
            or terms.linked in self.partners
        ):
            raise Refused("INVALID_LINK")
        return terms.linked

    def pair(self, number: int, other: int | None) -> None:
        if other is not None:
            self.partners[number], self.partners[other] = other, number
            self.count("paired")

    # -- prices -------------------------------------------------------------------------------------------

    def source_price(self, market: int, source: int) -> int:
        if source == BY_LAST_TRADE:
            return self.last_price.get(market, 0)
        ticker = self.ticker(market)
        return (ticker.mark if source == BY_MARK else ticker.index) or 0

    def show(self, market: int, source: int) -> None:
        price = self.source_price(market, source)
        if price:
            self.seen.setdefault((market, source), []).append(price)

    def set_index(self, market: int, index: int) -> None:
        super().set_index(market, index)
        self.show(market, BY_INDEX)

    def update_mark(self, market: int) -> None:
        super().update_mark(market)
        self.show(market, BY_MARK)

    def stop_of(self, order: Order, waiting: Waiting) -> int:
        """P2.5.4 for trails: rounded down for a sell and up for a buy."""
        if waiting.kind != TRAILING_STOP:
            return waiting.trigger
        extreme, trail = waiting.extreme, waiting.trail
        if not waiting.in_ppm:
            return max(0, extreme + (trail if order.side == BUY else -trail))
        if order.side == BUY:
            return extreme + lm.ceil_div(extreme * trail, 10**6)
        return lm.floor_div(extreme * (10**6 - trail), 10**6)

    def reaches(self, order: Order, waiting: Waiting, price: int) -> bool:
        """P2.5.3: stop buys and take-profit sells fire when the price rises to the trigger."""
        rising = (waiting.kind == TAKE_PROFIT) != (order.side == BUY)
        stop = self.stop_of(order, waiting)
        return price >= stop if rising else price <= stop

    # -- firing -------------------------------------------------------------------------------------------

    def after(self, value: int) -> int:
        """What the prices of a command fire, and what the fired orders' own trades fire in turn."""
        self.trim()
        while self.seen or self.queue():
            markets = {market for market, _ in self.seen} | {self.orders[one].market for one in self.queue()}
            self.run_market(min(markets))
            self.trim()
        return value

    def queue(self) -> list[int]:
        return [number for number, waiting in self.waiting.items() if waiting.fired]

    def trim(self) -> None:
        """What positions that shrank no longer need."""

    def run_market(self, market: int) -> None:
        self.look(market)
        queue = [number for number in self.queue() if self.orders[number].market == market]
        if queue:
            self.run(min(queue))

    def look(self, market: int) -> None:
        for source in (BY_MARK, BY_INDEX, BY_LAST_TRADE):
            for price in self.seen.pop((market, source), []):
                self.look_at(market, source, price)

    def look_at(self, market: int, source: int, price: int) -> None:
        mine = [
            (self.orders[number], waiting)
            for number, waiting in self.waiting.items()
            if waiting.armed
            and not waiting.fired
            and (self.orders[number].market, waiting.source) == (market, source)
        ]
        for order, waiting in mine:
            best = min if order.side == BUY else max
            waiting.extreme = best(waiting.extreme, price)
        for order, waiting in mine:
            if order.number in self.waiting and self.reaches(order, waiting, price):
                self.fire(order, waiting)

    def fire(self, order: Order, waiting: Waiting) -> None:
        waiting.trigger, waiting.fired = self.stop_of(order, waiting), True
        if not waiting.limit:
            order.price = self.protected(order, waiting.trigger)
        self.count(f"fired {waiting.kind} by {waiting.source}")
        if order.number in self.partners:
            self.count("fired one of a pair")
            self.end(self.orders[self.partners[order.number]])
        self.end_entry(order)

    def end_entry(self, order: Order) -> None:
        """The entry whose bracket the fired order belongs to."""

    def run(self, number: int) -> None:
        """A fired order meets the checks of P2.4 and takes; refused, it is cancelled."""
        order, waiting = self.orders[number], self.waiting.pop(number)
        band = self.band(order.market, order.side)
        try:
            if not band[0] <= order.price <= band[1]:
                raise Refused("PRICE_TOO_HIGH")
            self.check_risk(order, None)
            self.check_execution(order)
        except Refused as refused:
            self.count(f"ended by {refused}")
            self.end(order)
            return
        if not waiting.limit:
            order.time_in_force = IOC
        fills = len(self.fills)
        self.execute(order, band, new=False)
        self.count("ran and traded" if len(self.fills) > fills else "ran")

    # -- what is hidden, what is linked -------------------------------------------------------------------

    def open_side(self, holder: Holder, side: int, *, without: Order | None = None) -> tuple[int, int]:
        lots, value = super().open_side(holder, side, without=without)
        unit = self.markets[holder[2]].unit
        for number, hidden in self.hidden.items():
            order = self.orders[number]
            if (order.account, order.sub, order.market, order.side) == (*holder, side):
                lots, value = lots + hidden, value + hidden * order.price * unit
        return lots, value

    def execute(self, order: Order, band: tuple[int, int], *, new: bool) -> None:
        super().execute(order, band, new=new)
        number = order.number
        if order.is_open and number in self.display:
            self.hidden[number] = max(0, order.remaining - self.display[number])
            order.remaining -= self.hidden[number]
            self.count("iceberg rests")

    def fill(self, taker: Order, maker: Order) -> bool:
        lots = self.lots_of(taker, maker)
        super().fill(taker, maker)
        self.show(taker.market, BY_LAST_TRADE)
        if not maker.remaining:
            self.refill(maker)
        for order in (maker, taker):
            self.reduce_partner(order, lots)
        return False

    def refill(self, order: Order) -> None:
        """The next displayed part joins the back of its level."""
        lots = min(self.hidden.get(order.number, 0), self.display.get(order.number, 0))
        if not lots:
            self.hidden.pop(order.number, None)
            return
        self.hidden[order.number] -= lots
        order.remaining, order.is_open = lots, True
        order.priority, self.next_priority = self.next_priority, self.next_priority + 1
        self.count("iceberg refilled")

    def reduce_partner(self, order: Order, lots: int) -> None:
        """P2.5.7: what one of a pair fills the other loses; one that is filled cancels the other."""
        number = self.partners.get(order.number)
        if number is None:
            return
        partner = self.orders[number]
        self.count("pair reduced")
        partner.total -= lots
        partner.remaining -= lots
        if not order.remaining or partner.remaining <= 0:
            partner.remaining = max(0, partner.remaining)
            self.end(partner)
            self.count("pair over")

    def end(self, order: Order) -> None:
        super().end(order)
        self.waiting.pop(order.number, None)
        self.hidden.pop(order.number, None)
        partner = self.partners.pop(order.number, None)
        if partner is not None:
            self.partners.pop(partner, None)

    # -- commands of the models below that show prices -----------------------------------------------------

    def find(self, account: int, number: int | None, key: bytes) -> Order:
        if number in self.waiting:
            order = self.orders[number]
            if order.account != account:
                raise Refused("WRONG_OWNER")
            return order
        return super().find(account, number, key)

    def place(self, order: Order) -> int:
        return self.after(super().place(order))

    def replace(self, account: int, number: int | None, key: bytes, price: int, total: int) -> int:
        return self.after(super().replace(account, number, key, price, total))

    def cancel(self, account: int, number: int | None, key: bytes) -> int:
        return self.after(super().cancel(account, number, key))

    def publish(self, feed: int, source: int, weight: int, value: int, confidence: int) -> None:
        super().publish(feed, source, weight, value, confidence)
        self.after(0)

    def tick(self) -> None:
        super().tick()
        self.after(0)
