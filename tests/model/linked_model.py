"""Reduce-only orders, brackets and time slices (P2.5.2, P2.5.6, P2.5.7), on top of the conditional model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import exchange_model as base
import leverage_math as lm
from conditional_model import TAKE_PROFIT, ConditionalModel, Terms
from exchange_model import BUY, IOC, MAX_PRICE, SELL, Order, Refused
from leverage_model import REDUCE_ONLY, Holder

BRACKET = 8
TWAP = 7
CATCH_UP = 3
"""A slice is at most so many times its base size."""


@dataclass
class Slicing:
    """A time-sliced order between its slices."""

    slices: int
    interval_s: int
    limit: int
    next_ns: int
    sent: int = 0


@dataclass
class LinkedModel(ConditionalModel):
    slicing: dict[int, Slicing] = field(default_factory=dict)
    due: set[int] = field(default_factory=set)
    """Orders of which a slice is due."""
    entries: dict[int, int] = field(default_factory=dict)
    """Exit → entry of its bracket, while both are open."""
    inactive: dict[int, int] = field(default_factory=dict)
    """Exit → lots that wait for fills of the entry."""

    shrunk: set[Holder] = field(default_factory=set)
    """Positions that became smaller in the present command."""

    # -- reduce-only (P2.5.2) -------------------------------------------------------------------------------

    def trade(self, holder: Holder, delta: int, value: int) -> int:
        before = self.position(holder).lots
        realised = super().trade(holder, delta, value)
        after = self.position(holder).lots
        if abs(after) < abs(before) or after * before < 0:
            self.shrunk.add(holder)
        return realised

    def reducible(self, order: Order) -> int:
        lots = self.position((order.account, order.sub, order.market)).lots
        return max(0, -lots if order.side == BUY else lots)

    def has_value_limits(self, order: Order) -> bool:
        return not order.flags & REDUCE_ONLY

    def only_reduces(self, order: Order, old: Order | None) -> bool:
        return bool(order.flags & REDUCE_ONLY) or super().only_reduces(order, old)

    def check_risk(self, order: Order, old: Order | None) -> None:
        if order.flags & REDUCE_ONLY and not self.reducible(order):
            raise Refused("REDUCE_ONLY_WOULD_INCREASE")
        super().check_risk(order, old)

    def lots_of(self, taker: Order, maker: Order) -> int:
        room = [self.reducible(order) for order in (taker, maker) if order.flags & REDUCE_ONLY]
        return min(super().lots_of(taker, maker), *room) if room else super().lots_of(taker, maker)

    def fill(self, taker: Order, maker: Order) -> bool:
        if maker.flags & REDUCE_ONLY and not self.reducible(maker):
            self.count("reduce-only maker gone")
            self.end(maker)
            return False
        if taker.flags & REDUCE_ONLY and not self.reducible(taker):
            self.count("reduce-only taker ends")
            return True
        lots = self.lots_of(taker, maker)
        if lots < min(taker.remaining, maker.remaining):
            self.count("cut to the position")
        for order in (maker, taker):
            self.grow_exits(order, lots)
        ends = super().fill(taker, maker)
        if not maker.is_open:
            # As a taker that is filled: what hung on the order goes on alone.
            self.end(maker)
        return ends

    def trim(self) -> None:
        """Resting reduce-only orders wholly beyond a position that shrank go, the newest first."""
        shrunk, self.shrunk = self.shrunk, set()
        for holder in sorted(shrunk):
            left, beyond = abs(self.position(holder).lots), []
            for order in self.orders:
                if not order.is_open or not order.flags & REDUCE_ONLY:
                    continue
                if (order.account, order.sub, order.market) != holder:
                    continue
                if not self.reducible(order) or left <= 0:
                    beyond.append(order)
                else:
                    left -= order.remaining + self.hidden.get(order.number, 0)
            for order in reversed(beyond):
                self.count("reduce-only trimmed")
                self.end(order)

    # -- brackets (P2.5.7) ----------------------------------------------------------------------------------

    def exits_of(self, number: int) -> list[int]:
        return sorted(one for one, entry in self.entries.items() if entry == number)

    def partner_of(self, order: Order, terms: Terms) -> int | None:
        """Of an exit the other exit; its entry must rest, whole or in part, and lie on the other side."""
        if not order.flags & BRACKET:
            if terms.linked is not None and self.belongs_to_another(terms.linked):
                raise Refused("INVALID_LINK")
            return super().partner_of(order, terms)
        known = terms.linked is not None and terms.linked < len(self.orders)
        entry = self.orders[terms.linked or 0] if known else None
        if (
            entry is None
            or not entry.is_open
            or (entry.account, entry.sub, entry.market) != (order.account, order.sub, order.market)
            or entry.side == order.side
            or order.total != entry.remaining + self.hidden.get(entry.number, 0)
            or entry.number in self.partners
            or entry.number in self.entries
        ):
            raise Refused("INVALID_LINK")
        exits = [self.orders[number] for number in self.exits_of(entry.number)]
        takes = order.order_type == TAKE_PROFIT
        if len(exits) == 2 or any((one.order_type == TAKE_PROFIT) == takes for one in exits):
            raise Refused("INVALID_LINK")
        return exits[0].number if exits else None

    def belongs_to_another(self, number: int) -> bool:
        return number in self.entries or number in self.slicing or bool(self.exits_of(number))

    def place_waiting(self, order: Order, terms: Terms) -> int:
        if order.flags & REDUCE_ONLY and not self.reducible(order):
            self.check_waiting(order, terms)
            raise Refused("REDUCE_ONLY_WOULD_INCREASE")
        number = super().place_waiting(order, terms)
        if order.flags & BRACKET:
            assert terms.linked is not None
            order.flags |= REDUCE_ONLY
            self.entries[number], self.inactive[number] = terms.linked, order.total
            order.total = order.remaining = 0
            self.waiting[number].armed = False
            self.count("exit placed")
        return number

    def grow_exits(self, order: Order, lots: int) -> None:
        """Exits grow with their entry's fills; the first one arms them, maybe at a price that fires them."""
        for number in self.exits_of(order.number):
            exit_, grown = self.orders[number], min(lots, self.inactive.get(number, 0))
            if not grown:
                continue
            self.inactive[number] -= grown
            exit_.remaining += grown
            exit_.total += grown
            waiting = self.waiting[number]
            if not waiting.armed:
                waiting.armed = True
                waiting.extreme = self.source_price(exit_.market, waiting.source) or waiting.extreme
                self.show(exit_.market, waiting.source)
                self.count("exit armed")

    def end_entry(self, order: Order) -> None:
        entry = self.entries.get(order.number)
        if entry is not None and self.orders[entry].is_open:
            self.count("exit fired before its entry was full")
            self.end(self.orders[entry])

    def end(self, order: Order) -> None:
        super().end(order)
        self.slicing.pop(order.number, None)
        self.due.discard(order.number)
        self.inactive.pop(order.number, None)
        self.entries.pop(order.number, None)
        for number in self.exits_of(order.number):
            del self.entries[number]
            self.inactive.pop(number, None)
            if not self.orders[number].remaining:
                self.count("exit without a filled entry")
                self.end(self.orders[number])

    # -- time slices (P2.5.6) -------------------------------------------------------------------------------

    def place_twap(self, order: Order, slices: int, interval_s: int) -> int:
        self.need_sub(order.account, order.sub)
        market = self.markets[order.market]
        if not 1 <= order.total <= base.MAX_LOTS:
            raise Refused("INVALID_SIZE")
        if order.price and not 1 <= order.price <= MAX_PRICE:
            raise Refused("INVALID_PRICE")
        if not 2 <= slices <= 100 or not 1 <= interval_s <= 3_600 or (slices - 1) * interval_s > 86_400:
            raise Refused("INVALID_TWAP")
        price = order.price or self.reference(order.market)
        value = lm.notional(price, order.total, market.unit)
        # P2.4.2 knows no exception for what only reduces: each slice has its least value anyway.
        if value < market.min_notional:
            raise Refused("ORDER_TOO_SMALL")
        if value > market.max_notional:
            raise Refused("ORDER_TOO_LARGE")
        if lm.notional(price, order.total // slices, market.unit) < market.min_notional:
            raise Refused("INVALID_TWAP")
        if order.flags & REDUCE_ONLY and not self.reducible(order):
            raise Refused("REDUCE_ONLY_WOULD_INCREASE")
        order.number, order.is_open = len(self.orders), False
        self.orders.append(order)
        self.slicing[order.number] = Slicing(slices, interval_s, order.price, self.now_ns)
        self.count("sliced order placed")
        return order.number

    def tick(self) -> None:
        self.due |= {number for number, plan in self.slicing.items() if plan.next_ns <= self.now_ns}
        super().tick()

    def queue(self) -> list[int]:
        return [*super().queue(), *self.due]

    def run(self, number: int) -> None:
        if number in self.due:
            self.run_slice(number)
        else:
            super().run(number)

    def run_slice(self, number: int) -> None:
        """An immediate-or-cancel order of the slice's size; what it leaves is for the slices behind it."""
        order, plan = self.orders[number], self.slicing.pop(number)
        self.due.discard(number)
        # Of the slices whose time has passed the latest is sent, and what the others left is carried.
        interval_ns = plan.interval_s * lm.SECOND_NS
        passed = min((self.now_ns - plan.next_ns) // interval_ns, plan.slices - 1 - plan.sent)
        if passed:
            self.count("slice carried")
        plan.sent, plan.next_ns = plan.sent + passed, plan.next_ns + passed * interval_ns
        upto = [lm.floor_div(order.total * index, plan.slices) for index in (plan.sent, plan.sent + 1)]
        lots = lm.clamp(
            upto[1] - (order.total - order.remaining), 0, min(CATCH_UP * (upto[1] - upto[0]), order.remaining)
        )
        part = replace(order, remaining=lots, time_in_force=IOC)
        fills = len(self.fills)
        try:
            part.price = self.slice_price(part, plan.limit)
            self.check_risk(part, None)
            self.check_execution(part)
            self.execute(part, self.band(order.market, order.side), new=False)
        except Refused as refused:
            self.count(f"slice not sent for {refused}")
        order.remaining -= lots - part.remaining
        self.count("slice traded" if len(self.fills) > fills else "slice without a trade")
        plan.sent, plan.next_ns = plan.sent + 1, plan.next_ns + interval_ns
        if order.remaining and plan.sent < plan.slices:
            self.slicing[number] = plan
        else:
            self.count("sliced order over")

    def slice_price(self, part: Order, limit: int) -> int:
        if not part.remaining:
            raise Refused("INVALID_SIZE")
        price = self.protected(part, self.reference(part.market))
        if limit:
            price = min(price, limit) if part.side == BUY else max(price, limit)
        best = self.resting(part.market, SELL if part.side == BUY else BUY)
        if not best or (best[0].price > price if part.side == BUY else best[0].price < price):
            raise Refused("NO_LIQUIDITY")
        return price

    def find(self, account: int, number: int | None, key: bytes) -> Order:
        if number in self.slicing:
            order = self.orders[number]
            if order.account != account:
                raise Refused("WRONG_OWNER")
            return order
        return super().find(account, number, key)
