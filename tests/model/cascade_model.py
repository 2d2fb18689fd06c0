"""Who waits for liquidation, cascades and their passive orders (P5.1, P5.9, P7.5, P13.1), on top of steps.

A sub-account is flagged when a mark, funding or what it does itself brings it below its margin. Keepers then
have two seconds; after them the engine itself acts on whoever is worst. What is flagged is pending, and too
much of it is a cascade.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import leverage_math as lm
from exchange_model import BUY, FREE, SELL, SYSTEM_ACCOUNT, Fill, Order, Refused, fee
from leverage_model import SYSTEM_ACTS_NS, UNFILLED_NS, Health, Holder
from liquidation_model import CLOSED, COOLING, HEALTHY, Later, LiquidationModel, Sale, Step, Times
from waterfall_model import FUND

OFFER_NS, WIDE_AFTER_NS = 2 * lm.SECOND_NS, 10 * lm.SECOND_NS
ORDER_EXPIRY, MARKET_MOMENT, LIQUIDATIONS = 1, 8, 9
"""Kinds of what falls due, in the order in which items of one moment are handled (P2.1.5)."""
QUEUE_ITEM, FUND_ITEM = 0, 2
Who = tuple[int, int]


@dataclass
class Flag:
    """What the last look at a sub-account below its margin found."""

    market: int
    lots: int
    notional: int
    ratio: Fraction
    ready_ns: int
    arrival: int
    ripe: bool = False


@dataclass
class CascadeModel(LiquidationModel):
    flags: dict[Who, Flag] = field(default_factory=dict)
    cascade_ns: dict[int, int] = field(default_factory=dict)
    """Market → since when."""
    halted: set[int] = field(default_factory=set)
    """Markets whose book is collected for an auction, after B2, B3 or B7."""
    closed_to_risk: set[int] = field(default_factory=set)
    """Markets in which a breaker refuses new risk."""
    offers: set[int] = field(default_factory=set)
    """Passive orders of liquidations, by number."""
    moved: set[int] = field(default_factory=set)
    """Markets whose holders are looked at before the next command."""
    arrivals: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def note(self, *what: object) -> None:
        super().note(*what)
        self.count(str(what[0]))

    # -- who is below the margin (P5.1) ---------------------------------------------------------------------

    def look(self, account: int, sub: int) -> None:
        who = (account, sub)
        if who in (self.busy, FUND):
            return
        held = self.held_by(account, sub)
        health = self.health(account, sub)
        if held and lm.is_liquidatable(health.equity, health.maintenance_margin):
            self.flag(who, health)
        elif who in self.flags:
            del self.flags[who]
            self.forget_times(account, sub)
            self.note("ended", account, sub, HEALTHY if held else CLOSED, 0)

    def flag(self, who: Who, health: Health) -> None:
        market = self.largest_market(*who)
        lots = self.position((*who, market)).lots
        notional = sum(abs(self.value_at_mark((*who, index))) for index in self.held_by(*who))
        ratio = Fraction(health.equity, health.maintenance_margin)
        known = self.flags.get(who)
        if known:
            known.market, known.lots, known.notional, known.ratio = market, abs(lots), notional, ratio
            return
        self.arrivals += 1
        self.flags[who] = Flag(
            market, abs(lots), notional, ratio, self.now_ns + SYSTEM_ACTS_NS, self.arrivals
        )
        self.note("flagged", *who, market, lots, notional)

    def postpone(self, who: Who, ready_ns: int) -> None:
        flag = self.flags[who]
        self.arrivals += 1
        flag.ready_ns, flag.ripe, flag.arrival = ready_ns, False, self.arrivals

    def look_at_holders(self) -> None:
        """Where a mark or funding moved, once the command has done its work, before the next one.

        Who is flagged already is looked at when its turn comes.
        """
        holders = {one[:2] for one in self.positions if one[2] in self.moved}
        self.moved.clear()
        for account, sub in sorted(holders):
            if (account, sub) not in self.flags:
                self.look(account, sub)

    def update_mark(self, market: int) -> None:
        before = self.ticker(market).mark
        super().update_mark(market)
        if self.ticker(market).mark != before:
            self.moved.add(market)

    def crank_funding(self, market: int) -> int:
        rate = super().crank_funding(market)
        self.moved.add(market)
        return rate

    def deposit(self, account: int, sub: int, asset: int, amount: int, external_id: bytes) -> None:
        super().deposit(account, sub, asset, amount, external_id)
        self.look(account, sub)

    def fund_insurance(self, account: int, sub: int, asset: int, amount: int) -> None:
        super().fund_insurance(account, sub, asset, amount)
        self.look(account, sub)

    # -- cascades (P5.9) ------------------------------------------------------------------------------------

    def measure_cascade(self, market: int) -> None:
        mark, unit = self.ticker(market).mark or 0, self.markets[market].unit
        pending = sum(flag.lots for flag in self.flags.values() if flag.market == market) * mark * unit
        reach = mark * lm.DEPTH_PPM // lm.PPM
        near = [o for side in (BUY, SELL) for o in self.resting(market, side) if abs(o.price - mark) <= reach]
        depth = sum(order.price * order.remaining * unit for order in near)
        interest = self.interest_value(market)
        active = pending > 0 and lm.is_cascade(pending, depth, interest)
        if active == (market in self.cascade_ns):
            return
        if active:
            self.cascade_ns[market] = self.now_ns
            self.count("of interest" if lm.is_cascade(pending, 10**30, interest) else "of depth")
        else:
            del self.cascade_ns[market]
        self.note("cascade", market, active, pending, depth, interest)

    def check_new_risk(self, order: Order) -> None:
        if order.market in self.cascade_ns:
            self.count("new risk refused")
            raise Refused("BREAKER_ACTIVE")

    def sell(self, holder: Holder, keeper: int | None) -> Step:
        """Counts what the market's rate (P5.4) did to a step."""
        health, market = self.health(*holder[:2]), holder[2]
        value = self.rate_left(market) // ((self.ticker(market).mark or 0) * self.markets[market].unit)
        if self.wanted_lots(holder, health) > value:
            self.count("cut by the rate")
        if self.interest_value(market) * lm.RATE_LOW_PPM > lm.RATE_FLOOR * lm.PPM:
            self.count("rate of interest")
            if self.deviations[market][1] > lm.RATE_LOW_PPM**2:
                self.count("rate by deviation")
        if market in self.cascade_ns and lm.needs_tranches(
            abs(self.value_at_mark(holder)), health.equity, health.maintenance_margin
        ):
            self.count("half a tranche")
        return super().sell(holder, keeper)

    def tranche_share(self, market: int) -> Fraction:
        share = super().tranche_share(market)
        return share / 2 if market in self.cascade_ns else share

    def band_ppm(self, market: int) -> int:
        since_ns = self.cascade_ns.get(market)
        if since_ns is None or self.now_ns < since_ns + WIDE_AFTER_NS:
            return super().band_ppm(market)
        self.count("wide band")
        return lm.CASCADE_SLIPPAGE_PPM

    def limit_of(self, holder: Holder, health: Health, lots: int) -> int:
        """In a halt the band around the index binds too (P7.5)."""
        limit, market = super().limit_of(holder, health, lots), holder[2]
        index = self.ticker(market).index
        if market not in self.halted or not index:
            return limit
        reach = index * self.band_ppm(market) // lm.PPM
        bound = max(limit, index - reach) if self.position(holder).lots > 0 else min(limit, index + reach)
        self.count("index band binds" if bound != limit else "index band")
        return bound

    def passive_price(self, holder: Holder, limit: int) -> int | None:
        """The limit, or beside the best opposite price if nearer to the mark; None where the book takes."""
        market, mark = holder[2], self.ticker(holder[2]).mark or 0
        if market not in self.cascade_ns or market in self.halted:
            return None
        if self.position(holder).lots > 0:
            bids = self.resting(market, BUY)
            price = max(limit, bids[0].price + 1) if bids else limit
            return price if price <= mark else None
        asks = self.resting(market, SELL)
        price = min(limit, asks[0].price - 1) if asks else limit
        return price if price >= mark else None

    def stage_of(self, market: int, price: int | None) -> int:
        return (market in self.cascade_ns) + (price is not None)

    def offer_first(self, holder: Holder, price: int, lots: int) -> None:
        side = SELL if self.position(holder).lots > 0 else BUY
        order = self.offer(holder, side, price, lots, self.now_ns + OFFER_NS)
        self.offers.add(order.number)
        times = self.times[holder]
        times.offer, times.offer_ns, times.offer_lots = order.number, order.expiry_ns, lots
        times.begun_ns = times.begun_ns or self.now_ns
        self.end_step(holder, COOLING)

    # -- a book that is collected for an auction says and takes nothing -------------------------------------

    def book_prices(self, market: int) -> list[int]:
        if market not in self.halted:
            return super().book_prices(market)
        last = self.last_price.get(market, 0)
        return [last] if last else []

    def mid_e6(self, market: int) -> int | None:
        return None if market in self.halted else super().mid_e6(market)

    def sample_premium(self, market: int) -> None:
        if market not in self.halted:
            super().sample_premium(market)

    def fund_may_offer(self, market: int) -> bool:
        return market not in self.halted

    # -- what meets a passive order -------------------------------------------------------------------------

    def is_offer(self, order: Order) -> bool:
        return order.number in self.offers or (order.account == SYSTEM_ACCOUNT and order.number >= 0)

    def reducible(self, order: Order) -> int:
        lots = self.position((order.account, order.sub, order.market)).lots
        return max(0, -lots if order.side == BUY else lots)

    def lots_of(self, taker: Order, maker: Order) -> int:
        lots = super().lots_of(taker, maker)
        return min(lots, self.reducible(maker)) if self.is_offer(maker) else lots

    def takes(self, maker: Order) -> bool:
        if maker.number in self.offers:
            self.count("offer met by a liquidation")
            return False
        return super().takes(maker) and (not self.is_offer(maker) or bool(self.reducible(maker)))

    def fill(self, taker: Order, maker: Order) -> bool:
        if not self.is_offer(maker):
            ends = super().fill(taker, maker)
            for order in (taker, maker):
                self.look(order.account, order.sub)
            return ends
        lots = self.lots_of(taker, maker)
        of_fund = maker.account == SYSTEM_ACCOUNT
        if not lots or not (self.fund_gains(maker) if of_fund else self.suits(maker, lots)):
            self.count("offer left instead of trading")
            self.end(maker)
            return False
        self.take_offer(taker, maker, lots)
        return False

    def suits(self, offer: Order, lots: int) -> bool:
        """Whether a step would still sell so many lots at this price."""
        holder = (offer.account, offer.sub, offer.market)
        health = self.health(*holder[:2])
        if health.equity <= 0 or not lm.is_liquidatable(health.equity, health.maintenance_margin):
            return False
        limit = self.limit_of(holder, health, lots)
        return offer.price >= limit if offer.side == SELL else offer.price <= limit

    def take_offer(self, taker: Order, maker: Order, lots: int) -> None:
        """A fill of a passive order is a step of its own: the owner pays its fee, for which nobody earns."""
        holder = (maker.account, maker.sub, maker.market)
        market, before = self.perpetual(maker.market), self.health(*holder[:2])
        value, rate = lm.notional(maker.price, lots, market.unit), 0
        of_fund = maker.account == SYSTEM_ACCOUNT
        if not of_fund:
            rate, self.busy = self.fee_rate(holder), holder[:2]
        charge = fee(value, market.taker_fee_e6bp)
        taker.remaining -= lots
        self.exchange_by(taker, maker, lots, value, charge)
        self.look(taker.account, taker.sub)
        if of_fund:
            self.count("fund sold")
            self.last_price[maker.market] = maker.price
            self.fills.append(Fill(maker.number, taker.number, maker.price, lots, charge, 0))
            return
        self.count("offer taken")
        self.sales.append(Sale(maker.number, maker.price, lots, 0, charge))
        self.busy = None
        self.spend_rate(maker.market, value)
        self.offer_times(holder, maker)
        cost, _ = self.charge(holder, before, value, rate, None)
        self.note("stepped", *holder, lots, maker.remaining, value, cost)
        self.look(*holder[:2])

    def exchange_by(self, taker: Order, maker: Order, lots: int, value: int, charge: int) -> None:
        sign, asset = 1 if taker.side == BUY else -1, self.markets[maker.market].quote
        self.trade((taker.account, taker.sub, taker.market), sign * lots, sign * value)
        self.trade((maker.account, maker.sub, maker.market), -sign * lots, -sign * value)
        self.post(taker.account, taker.sub, asset, FREE, -charge)
        self.split(asset, charge)
        maker.remaining -= lots
        maker.is_open = maker.remaining > 0

    def offer_times(self, holder: Holder, offer: Order) -> None:
        """A whole passive order was the step; of a part the rest is left to it."""
        times = self.times.get(holder)
        if times is None or times.offer != offer.number:
            return
        times.offer_lots = offer.remaining
        if not offer.remaining:
            self.times[holder] = Times(last_ns=self.now_ns)

    def trim(self) -> None:
        """Passive orders only reduce: behind a command none stands beyond its position."""
        for order in self.orders:
            if order.is_open and self.is_offer(order) and not self.reducible(order):
                self.count("offer trimmed")
                self.end(order)

    # -- orders of users ------------------------------------------------------------------------------------

    def place(self, order: Order) -> int:
        if order.market in self.closed_to_risk and not self.only_reduces(order, None):
            raise Refused("BREAKER_ACTIVE")
        number = super().place(order)
        self.trim()
        return number

    def liquidate(self, account: int, sub: int, market: int, keeper: int | None = None) -> Step:
        step = super().liquidate(account, sub, market, keeper)
        self.trim()
        return step

    def complete(self, account: int, sub: int, market: int) -> Step:
        step = super().complete(account, sub, market)
        self.trim()
        return step

    # -- time: what falls due, the engine's own liquidations ------------------------------------------------

    def tick(self) -> None:
        """Cascades count whom the Tick's own marks brought down; funding that falls due comes later."""
        self.refresh_marks()
        self.look_at_holders()
        for market in range(len(self.markets)):
            self.measure_cascade(market)
        while (item := self.first_due()) and item[0] <= self.now_ns:
            self.handle(*item[1:])
        self.trim()

    def first_due(self) -> tuple[int, int, int] | None:
        items = [(o.expiry_ns, ORDER_EXPIRY, o.number) for o in self.orders if o.is_open and o.expiry_ns]
        items += [
            (self.ticker(market).next_sample_ns, MARKET_MOMENT, market) for market in range(len(self.markets))
        ]
        waiting = [flag.ready_ns for flag in self.flags.values()]
        if waiting:
            items.append((min(waiting), LIQUIDATIONS, QUEUE_ITEM))
        if self.fund_ns:
            items.append((self.fund_ns, LIQUIDATIONS, FUND_ITEM))
        return min(items, default=None)

    def handle(self, kind: int, item: int) -> None:
        if kind == ORDER_EXPIRY:
            self.count("offer expired")
            self.end(self.orders[item])
        elif kind == MARKET_MOMENT:
            self.market_due(item)
        elif item == QUEUE_ITEM:
            self.run_queue()
        else:
            self.work_off()

    def run_queue(self) -> None:
        """Whose time has come is looked at; then the worst goes first, until nobody is left."""
        while True:
            rows = [(f.ready_ns, f.arrival, who) for who, f in self.flags.items() if not f.ripe]
            for ready_ns, _, who in sorted(rows):
                if ready_ns <= self.now_ns:
                    self.flags[who].ripe = True
                    self.look(*who)
            ripe = [(f.ratio, -f.notional, who) for who, f in self.flags.items() if f.ripe]
            if not ripe:
                return
            self.take_turn(min(ripe)[2])

    def take_turn(self, who: Who) -> None:
        try:
            market = self.plan(*who, self.flags[who].market)
        except Refused as refused:
            self.postpone(who, self.retry_ns(refused))
            return
        self.count("turn")
        self.act(*who, market)

    def retry_ns(self, refused: Refused) -> int:
        if isinstance(refused, Later):
            return refused.until_ns + SYSTEM_ACTS_NS
        return self.now_ns + lm.SECOND_NS

    def end_step(self, holder: Holder, reason: int) -> None:
        """When the engine does the next step of who is still below the margin, unless a keeper has."""
        who = holder[:2]
        if who not in self.flags:
            return
        try:
            market = self.plan(*who, holder[2])
        except Refused as refused:
            next_ns = self.retry_ns(refused)
        else:
            begun_ns = self.times.get((*who, market), Times()).begun_ns
            next_ns = begun_ns + UNFILLED_NS if begun_ns else self.now_ns + SYSTEM_ACTS_NS
            next_ns = self.now_ns if market < 0 else next_ns
        self.postpone(who, next_ns)
        self.note("ended", *who, reason, next_ns)
