"""Leveraged trading written a second time: positions, margin, marks, funding, liquidation (P4, P5).

Stands on the plain ledger and list-matching of `exchange_model` and on the arithmetic of `leverage_math`.
Positions, orders and balances are dictionaries and lists that are scanned whole: slow and short on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import leverage_math as lm
from exchange_model import (
    BUY,
    FREE,
    INSURANCE,
    SELL,
    SYSTEM_ACCOUNT,
    Fill,
    Market,
    Model,
    Order,
    Refused,
    fee,
)  # fmt: skip

COST = 2
LIQUIDATION_FEES, FUNDING = 0x86, 0x87
REDUCE_ONLY = 2
CROSS, ISOLATED = 0, 1
POSITIONS_PER_SUB = 50
HOUR_NS = lm.HOUR_NS
MINUTE_NS = 60 * lm.SECOND_NS
UNFILLED_NS = 5 * lm.SECOND_NS
SYSTEM_ACTS_NS = 2 * lm.SECOND_NS
"""A due action that no keeper took is done by the engine itself after this (P13.1)."""
QUORUM = 2
FEED_INTERVAL_NS = 60 * lm.SECOND_NS
UNSUITABLE_E2 = 1_000


@dataclass(frozen=True)
class Perpetual(Market):
    """A leveraged market; notionals in micro-quote, fractions in ppm, leverage in hundredths."""

    tick_size: int = 10_000
    max_leverage_e2: int = 10_000
    size_k_ppm: int = 50
    floor_mmf_ppm: int = 5_000
    liquidation_fee_e6bp: int = lm.LIQUIDATION_FEE_E6BP
    position_limit: int = 10_000_000 * lm.DOLLAR
    open_interest_cap: int = 10**15
    impact_notional: int = 10_000 * lm.DOLLAR
    insurance_limit: int = 1_000_000 * lm.DOLLAR

    @property
    def base_e2(self) -> int:
        """The static cap of P4.2."""
        return min(100 * lm.tier(1), self.max_leverage_e2)

    def initial_margin(self, value: int, cap_e2: int) -> int:
        return lm.margin(value, lm.initial_fraction_ppm(value, min(cap_e2, self.base_e2), self.size_k_ppm))

    def maintenance_ppm(self, value: int) -> int:
        return lm.maintenance_fraction_ppm(value, self.base_e2, self.size_k_ppm, self.floor_mmf_ppm)


@dataclass(frozen=True)
class Asset:
    """Collateral weights in bp (P1.4.5); `cap` in micro-units a sub-account may count, 0 = none."""

    initial_asset_bp: int = 10_000
    maintenance_asset_bp: int = 10_000
    initial_liability_bp: int = 10_000
    maintenance_liability_bp: int = 10_000
    stable: bool = False
    cap: int = 0


@dataclass
class Position:
    lots: int = 0
    cost: int = 0
    funding_entry: int = 0


@dataclass
class Ticker:
    """What a leveraged market knows of prices, in ticks; None = unknown."""

    index: int | None = None
    mark: int | None = None
    mark_ns: int = 0
    held_back: bool = False
    premium_e6: int = 0
    premium_ns: int = 0
    sample_e6: int | None = None
    """Mid minus index as it stands since `premium_ns`."""
    interest: int = 0
    """Open lots when the mark was looked at: what a command's fired orders trade comes behind it."""
    funding_index: int = 0
    samples: list[int] = field(default_factory=list)
    hour_end_ns: int = 0
    next_sample_ns: int = 0
    tranche_ns: dict[tuple[int, int], int] = field(default_factory=dict)


@dataclass(frozen=True, order=True)
class Touch:
    """A position after something touched it, and the money that moved."""

    holder: tuple[int, int, int]
    lots: int
    cost: int
    realised: int
    funding_paid: int


@dataclass(frozen=True)
class Health:
    equity: int
    initial_margin: int
    maintenance_margin: int


Holder = tuple[int, int, int]
"""Account, sub-account, market."""


@dataclass
class LeveragedModel(Model):
    assets: list[Asset] = field(default_factory=list)
    asset_prices: dict[int, int] = field(default_factory=dict)
    """Micro-quote per whole unit; the settlement asset is 10^6 unless a feed says less."""
    modes: dict[tuple[int, int], int] = field(default_factory=dict)
    positions: dict[Holder, Position] = field(default_factory=dict)
    tickers: dict[int, Ticker] = field(default_factory=dict)
    stale: list[int] = field(default_factory=list)
    leverage_caps_e2: dict[int, int] = field(default_factory=dict)
    """l_cap where coverage or stage bind; else the market's maximum."""
    suitable: set[int] = field(default_factory=set)
    sources: dict[int, dict[int, tuple[int, int, int]]] = field(default_factory=dict)
    """Feed → source → (value, weight, confidence)."""
    told_ns: dict[int, int] = field(default_factory=dict)
    quotes: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Feed → (index, confidence)."""
    touches: list[Touch] = field(default_factory=list)
    published: dict[int, int | None] = field(default_factory=dict)
    last_rate_ppb: dict[int, int] = field(default_factory=dict)
    last_samples: dict[int, list[int]] = field(default_factory=dict)

    # -- reading ------------------------------------------------------------------------------------------

    def is_perpetual(self, market: int) -> bool:
        return isinstance(self.markets[market], Perpetual)

    def perpetual(self, market: int) -> Perpetual:
        found = self.markets[market]
        assert isinstance(found, Perpetual)
        return found

    def ticker(self, market: int) -> Ticker:
        return self.tickers.setdefault(market, Ticker())

    def position(self, holder: Holder) -> Position:
        return self.positions.get(holder, Position())

    def held_by(self, account: int, sub: int) -> list[int]:
        """Markets in which the sub-account has a position."""
        return sorted(
            market
            for (owner, index, market), position in self.positions.items()
            if (owner, index) == (account, sub) and position.lots
        )

    def open_interest(self, market: int) -> int:
        """Lots per side."""
        return sum(max(0, p.lots) for (_, _, index), p in self.positions.items() if index == market)

    def price_of(self, asset: int) -> int:
        price = self.asset_prices.get(asset, 0)
        return lm.stable_price(price) if self.assets[asset].stable else price

    def collateral(self, account: int, sub: int, *, initial: bool) -> int:
        """Weighted micro-quote of the sub-account's free balances."""
        total = 0
        for number, asset in enumerate(self.assets):
            amount = self.line(account, sub, number, FREE)
            weights = (
                (asset.initial_asset_bp, asset.initial_liability_bp)
                if initial
                else (asset.maintenance_asset_bp, asset.maintenance_liability_bp)
            )
            total += lm.asset_value(amount, self.price_of(number), *weights, cap=asset.cap)
        return total

    def profit(self, holder: Holder) -> int:
        """Unrealised, less the funding that is not settled yet."""
        position, market = self.position(holder), self.markets[holder[2]]
        ticker = self.ticker(holder[2])
        if not position.lots:
            return 0
        gain = lm.unrealised(position.lots, position.cost, ticker.mark or 0, market.unit)
        return gain - lm.funding_owed(position.lots, position.funding_entry, ticker.funding_index)

    def equity(self, account: int, sub: int, *, initial: bool, count_profit: bool = True) -> int:
        total = self.collateral(account, sub, initial=initial)
        for market in self.held_by(account, sub):
            gain = self.profit((account, sub, market))
            total += gain if count_profit else min(0, gain)
        return total

    def open_side(self, holder: Holder, side: int, *, without: Order | None = None) -> tuple[int, int]:
        """(lots, Σ price·lots·unit) of the open orders of a side."""
        account, sub, market = holder
        unit = self.markets[market].unit
        rows = [
            order
            for order in self.orders
            if order.is_open
            and order is not without
            and (order.account, order.sub, order.market, order.side) == (account, sub, market, side)
        ]
        return sum(o.remaining for o in rows), sum(o.remaining * o.price * unit for o in rows)

    def worst_case(
        self, holder: Holder, extra: Order | None = None, without: Order | None = None
    ) -> list[tuple[int, int]]:
        """P4.3: (notional at mark, loss of filling at limit) of each side, one order added or taken away."""
        market = self.markets[holder[2]]
        sides = []
        for side in (BUY, SELL):
            lots, value = self.open_side(holder, side, without=without)
            if extra and extra.side == side:
                lots, value = lots + extra.remaining, value + extra.remaining * extra.price * market.unit
            sides.append((lots, value))
        mark = self.ticker(holder[2]).mark or 0
        return lm.worst_case_margin_terms(self.position(holder).lots, mark, market.unit, *sides)

    def cap_e2(self, account: int, market: int) -> int:
        """More than 10 needs a suitability flag (P4.5)."""
        cap = self.leverage_caps_e2.get(market, self.perpetual(market).base_e2)
        return cap if account in self.suitable else min(cap, UNSUITABLE_E2)

    def margin_of(self, holder: Holder, extra: Order | None = None, without: Order | None = None) -> int:
        market, cap_e2 = self.perpetual(holder[2]), self.cap_e2(holder[0], holder[2])
        sides = self.worst_case(holder, extra, without)
        return max(market.initial_margin(value, cap_e2) + loss for value, loss in sides)

    def markets_touched(self, account: int, sub: int) -> list[int]:
        """Leveraged markets in which the sub-account has a position or open orders."""
        ordered = {
            order.market
            for order in self.orders
            if order.is_open
            and (order.account, order.sub) == (account, sub)
            and self.is_perpetual(order.market)
        }
        return sorted(ordered | set(self.held_by(account, sub)))

    def maintenance_of(self, holder: Holder) -> int:
        market, ticker = self.perpetual(holder[2]), self.ticker(holder[2])
        value = lm.notional(ticker.mark or 0, self.position(holder).lots, market.unit)
        return lm.margin(value, market.maintenance_ppm(value))

    def health(self, account: int, sub: int, *, initial: bool = False, count_profit: bool = True) -> Health:
        return Health(
            self.equity(account, sub, initial=initial, count_profit=count_profit),
            sum(self.margin_of((account, sub, market)) for market in self.markets_touched(account, sub)),
            sum(self.maintenance_of((account, sub, market)) for market in self.held_by(account, sub)),
        )

    # -- order check (P4.3) ---------------------------------------------------------------------------------

    def reserve_of(self, order: Order) -> tuple[int, int]:
        if self.is_perpetual(order.market):
            return self.markets[order.market].quote, 0
        return super().reserve_of(order)

    def reference(self, market: int) -> int:
        """P2.4.5: the index; without it the mark; without both what the book says."""
        if not self.is_perpetual(market):
            return super().reference(market)
        ticker = self.ticker(market)
        return ticker.index or ticker.mark or super().reference(market)

    def check_risk(self, order: Order, old: Order | None) -> None:
        if not self.is_perpetual(order.market):
            super().check_risk(order, old)
            return
        market, holder = self.perpetual(order.market), (order.account, order.sub, order.market)
        ticker = self.ticker(order.market)
        touched = self.markets_touched(order.account, order.sub)
        isolated = self.modes.get((order.account, order.sub), CROSS) == ISOLATED
        if order.market not in touched and len(touched) >= (1 if isolated else POSITIONS_PER_SUB):
            raise Refused("TOO_MANY_POSITIONS")
        if self.only_reduces(order, old):
            return
        self.check_new_risk(order)
        value = max(value for value, _ in self.worst_case(holder, order, old))
        if value > market.position_limit:
            raise Refused("POSITION_TOO_LARGE")
        interest = (self.open_interest(order.market) + order.remaining) * (ticker.mark or 0) * market.unit
        if interest > market.open_interest_cap:
            raise Refused("OPEN_INTEREST_CAP")
        fees = fee(lm.notional(order.price, order.remaining, market.unit), market.worst_rate)
        others = [index for index in touched if index != order.market]
        needed = self.margin_of(holder, order, old) + sum(
            self.margin_of((order.account, order.sub, index)) for index in others
        )
        if self.equity(order.account, order.sub, initial=True) - fees < needed:
            raise Refused("INSUFFICIENT_MARGIN")

    def check_new_risk(self, order: Order) -> None:
        """Whether the market takes new risk at all."""

    def only_reduces(self, order: Order, old: Order | None) -> bool:
        """P4.3: all orders of this side together can do no more than close the position."""
        holder = (order.account, order.sub, order.market)
        lots = self.position(holder).lots
        waiting, _ = self.open_side(holder, order.side, without=old)
        against = -lots if order.side == BUY else lots
        return against > 0 and waiting + order.remaining <= against

    # -- fills (P1.5.6) -------------------------------------------------------------------------------------

    def settle_funding(self, holder: Holder) -> int:
        """Pays what the position owes; every touch does this first."""
        account, sub, market = holder
        position, ticker = self.positions.get(holder), self.ticker(market)
        if position is None:
            return 0
        owed = lm.funding_owed(position.lots, position.funding_entry, ticker.funding_index)
        position.funding_entry = ticker.funding_index
        asset = self.markets[market].quote
        self.post(account, sub, asset, FREE, -owed)
        self.post(SYSTEM_ACCOUNT, market, asset, FUNDING, owed)
        return owed

    def trade(self, holder: Holder, delta: int, value: int) -> int:
        """Moves `delta` lots for `value` micro-quote in all; posts cost and what is realised."""
        account, sub, market = holder
        asset = self.markets[market].quote
        owed = self.settle_funding(holder)
        position = self.positions.setdefault(holder, Position(0, 0, self.ticker(market).funding_index))
        before = position.cost
        position.lots, position.cost, realised = move_position(position.lots, position.cost, delta, value)
        # The cost line is the negative of what the open part cost.
        self.post(account, sub, asset, COST, before - position.cost)
        self.post(account, sub, asset, FREE, realised)
        self.touches.append(Touch(holder, position.lots, position.cost, realised, owed))
        if not position.lots:
            del self.positions[holder]
        return realised

    def fill(self, taker: Order, maker: Order) -> bool:
        if not self.is_perpetual(taker.market):
            return super().fill(taker, maker)
        market = self.markets[taker.market]
        lots, price = self.lots_of(taker, maker), maker.price
        value = lm.notional(price, lots, market.unit)
        self.last_price[taker.market] = price
        fees = []
        for order, rate in ((taker, market.taker_fee_e6bp), (maker, market.maker_fee_e6bp)):
            order.remaining -= lots
            sign = 1 if order.side == BUY else -1
            self.trade((order.account, order.sub, order.market), sign * lots, sign * value)
            charge = fee(value, rate)
            self.post(order.account, order.sub, market.quote, FREE, -charge)
            fees.append(charge)
        maker.is_open = maker.remaining > 0
        self.split(market.quote, sum(fees))
        self.fills.append(Fill(maker.number, taker.number, price, lots, fees[0], fees[1]))
        return False

    # -- prices (P4.7) --------------------------------------------------------------------------------------

    def book_prices(self, market: int) -> list[int]:
        """Best bid, best ask and last trade, as far as they exist."""
        sides = (self.resting(market, BUY), self.resting(market, SELL))
        rows = [side[0].price for side in sides if side]
        last = self.last_price.get(market, 0)
        return [*rows, last] if last else rows

    def mid_e6(self, market: int) -> int | None:
        bids, asks = self.resting(market, BUY), self.resting(market, SELL)
        return (bids[0].price + asks[0].price) * lm.PPM // 2 if bids and asks else None

    def update_mark(self, market: int) -> None:
        """What stood until now is averaged for as long as it stood; then the mark follows, not too fast."""
        ticker, mid = self.ticker(market), self.mid_e6(market)
        ticker.interest = self.open_interest(market)
        if ticker.sample_e6 is not None:
            elapsed = self.now_ns - ticker.premium_ns
            ticker.premium_e6 = lm.premium_step_e6(ticker.premium_e6, ticker.sample_e6, elapsed)
        known = ticker.index is not None and mid is not None
        ticker.sample_e6 = mid - ticker.index * lm.PPM if known else None
        ticker.premium_ns = self.now_ns
        wanted = lm.wanted_mark(ticker.index, ticker.premium_e6, self.book_prices(market))
        if wanted is None:
            return
        if ticker.mark is None:
            ticker.mark, ticker.mark_ns = wanted, self.now_ns
            return
        elapsed = self.now_ns - ticker.mark_ns
        if not ticker.held_back:
            # It stood where it was wanted: the time of standing still is no credit.
            elapsed = min(elapsed, lm.MARK_STEP_NS)
        mark = lm.clamped_mark(ticker.mark, wanted, elapsed)
        ticker.held_back = mark != wanted
        # It goes on with the next Tick, whatever happens until then.
        if ticker.held_back:
            self.set_stale(market)
        if not ticker.held_back or mark != ticker.mark:
            # A step below one tick waits until enough time has passed for one.
            ticker.mark_ns = self.now_ns
        ticker.mark = mark

    def execute(self, order: Order, band: tuple[int, int], *, new: bool) -> None:
        meets = bool(self.meeting(order))
        super().execute(order, band, new=new)
        rested = new and not meets and order.is_open
        best = self.resting(order.market, order.side)[0].price if rested else order.price
        if order.price == best:
            self.set_stale(order.market)

    def end(self, order: Order) -> None:
        resting = self.resting(order.market, order.side) if order.is_open else []
        if resting and resting[0].price == order.price:
            self.set_stale(order.market)
        super().end(order)

    def set_index(self, market: int, index: int) -> None:
        self.ticker(market).index = index
        self.update_mark(market)

    def publish(self, feed: int, source: int, weight: int, value: int, confidence: int) -> None:
        """A source's price in micro per whole unit; with a quorum of two it makes an index (P6.1.2).

        Marks look when index or confidence change, and at a confirmation an interval after they last looked.
        """
        self.sources.setdefault(feed, {})[source] = (value, weight, confidence)
        rows = list(self.sources[feed].values())
        if len(rows) < QUORUM:
            return
        price = lm.weighted_median([(value, weight) for value, weight, _ in rows])
        quote = (price, lm.feed_confidence(rows, price))
        waited = self.now_ns - self.told_ns.get(feed, -FEED_INTERVAL_NS) >= FEED_INTERVAL_NS
        if quote == self.quotes.get(feed) and not waited:
            return
        self.quotes[feed], self.told_ns[feed] = quote, self.now_ns
        for asset in range(1, len(self.assets)):
            self.asset_prices[asset] = price
        for number in range(len(self.markets)):
            if self.is_perpetual(number):
                tick = self.perpetual(number).tick_size
                self.set_index(number, max(1, (2 * price + tick) // (2 * tick)))

    def set_stale(self, market: int) -> None:
        """The book has moved since the mark was computed, or the mark is on its way."""
        if self.is_perpetual(market) and market not in self.stale:
            self.stale.append(market)

    def refresh_marks(self) -> None:
        """Every Tick, those that wait longest first."""
        for _ in range(len(self.stale)):
            self.update_mark(self.stale.pop(0))

    def tick(self) -> None:
        """What time does: marks follow the book, minutes are sampled, hours are charged, orders expire."""
        self.refresh_marks()
        super().tick()
        for number in range(len(self.markets)):
            if self.is_perpetual(number):
                self.market_due(number)

    def market_due(self, market: int) -> None:
        """The market's one next moment: a sample each minute, the end of the hour if no keeper charged it."""
        ticker = self.ticker(market)
        if not ticker.next_sample_ns or self.now_ns < ticker.next_sample_ns:
            return
        acts_ns = ticker.hour_end_ns + SYSTEM_ACTS_NS
        if self.now_ns >= acts_ns:
            self.crank_funding(market)
            return
        self.sample_premium(market)
        ticker.next_sample_ns = acts_ns if self.now_ns >= ticker.hour_end_ns else self.next_minute()

    def next_minute(self) -> int:
        return (self.now_ns // MINUTE_NS + 1) * MINUTE_NS

    def fund_insurance(self, account: int, sub: int, asset: int, amount: int) -> None:
        self.need_sub(account, sub)
        if amount < 1:
            raise Refused("INVALID_AMOUNT")
        self.check_leaving(account, sub, asset, amount)
        self.post(account, sub, asset, FREE, -amount)
        self.post(SYSTEM_ACCOUNT, 0, asset, INSURANCE, amount)

    # -- funding (P4.8) -------------------------------------------------------------------------------------

    def sample_premium(self, market: int) -> None:
        ticker, rules = self.ticker(market), self.perpetual(market)
        impacts = []
        for side in (BUY, SELL):
            levels = [(order.price, order.remaining) for order in self.resting(market, side)]
            impacts.append(lm.impact_price(levels, rules.impact_notional, rules.unit))
        bid, ask = impacts
        if ticker.index and bid is not None and ask is not None:
            ticker.samples.append(lm.premium_sample_ppb(bid, ask, ticker.index))

    def crank_funding(self, market: int) -> int:
        """Ends the hour: one period however many passed. The rate in ppb."""
        ticker, rules = self.ticker(market), self.perpetual(market)
        if self.now_ns < ticker.hour_end_ns:
            raise Refused("FUNDING_NOT_DUE")
        rate = lm.hourly_rate_ppb(ticker.samples, rules.base_e2, rules.floor_mmf_ppm)
        ticker.funding_index += lm.funding_delta(rate, ticker.index or 0, rules.unit)
        self.last_rate_ppb[market] = rate
        self.last_samples[market], ticker.samples = ticker.samples, []
        ticker.hour_end_ns = (self.now_ns // HOUR_NS + 1) * HOUR_NS
        ticker.next_sample_ns = self.next_minute()
        self.sweep_funding_dust(market)
        return rate

    def sweep_funding_dust(self, market: int) -> None:
        """What the funding line holds beyond what all open positions together can claim goes to insurance."""
        asset, ticker = self.markets[market].quote, self.ticker(market)
        owed = sum(
            p.lots * (ticker.funding_index - p.funding_entry)
            for (_, _, index), p in self.positions.items()
            if index == market
        )
        dust = max(0, self.line(SYSTEM_ACCOUNT, market, asset, FUNDING) + lm.floor_div(owed, lm.INDEX_SCALE))
        self.post(SYSTEM_ACCOUNT, market, asset, FUNDING, -dust)
        self.post(SYSTEM_ACCOUNT, 0, asset, INSURANCE, dust)

    # -- collateral out (P4.3, second half) ---------------------------------------------------------------

    def check_leaving(self, account: int, sub: int, asset: int, amount: int) -> None:
        """Withdrawals, transfers and removal of margin: as an order check, profits counted 0."""
        if amount > self.line(account, sub, asset, FREE):
            raise Refused("INSUFFICIENT_BALANCE")
        if not self.markets_touched(account, sub):
            return
        self.post(account, sub, asset, FREE, -amount)
        health = self.health(account, sub, initial=True, count_profit=False)
        self.post(account, sub, asset, FREE, amount)
        if health.equity < health.initial_margin:
            raise Refused("INSUFFICIENT_FREE_COLLATERAL")

    def transfer(self, account: int, sub: int, to_sub: int, asset: int, amount: int) -> None:
        self.check_transfer(account, sub, to_sub, amount)
        self.check_leaving(account, sub, asset, amount)
        self.post(account, sub, asset, FREE, -amount)
        self.post(account, to_sub, asset, FREE, amount)

    def adjust_margin(self, account: int, sub: int, market: int, amount: int) -> None:
        """0403: positive from sub-account 0 into the isolated one, negative back."""
        self.need_sub(account, sub)
        if market not in self.markets_touched(account, sub):
            raise Refused("POSITION_NOT_FOUND")
        if self.modes.get((account, sub), CROSS) != ISOLATED:
            raise Refused("INVALID_TRANSITION")
        if not amount:
            raise Refused("INVALID_AMOUNT")
        source, target = (0, sub) if amount > 0 else (sub, 0)
        asset = self.markets[market].quote
        self.check_leaving(account, source, asset, abs(amount))
        self.post(account, source, asset, FREE, -abs(amount))
        self.post(account, target, asset, FREE, abs(amount))


def move_position(lots: int, cost: int, delta: int, value: int) -> tuple[int, int, int]:
    """`leverage_math.apply_fill` for a total value instead of a price; `value` has the sign of `delta`."""
    if lots == 0 or (lots > 0) == (delta > 0):
        return lots + delta, cost + value, 0
    closing = -lots if abs(delta) >= abs(lots) else delta
    closed_value = lm.floor_of(Fraction(value * closing, delta))
    share = lm.ceil_div(cost * -closing, lots)
    realised = -closed_value - share
    rest_value = value - closed_value
    return lots + delta, cost - share + rest_value, realised
