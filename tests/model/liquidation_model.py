"""Liquidation by steps (P5.1 to P5.7) on top of the waterfall: whether, how much, what price and fee."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import leverage_math as lm
from exchange_model import BUY, FREE, INSURANCE, SELL, SYSTEM_ACCOUNT, Order, Refused, fee
from leverage_model import LIQUIDATION_FEES, UNFILLED_NS, Health, Holder
from waterfall_model import BY_FEES, BY_INSURANCE, WaterfallModel

STAGES = {"backstop": "insurance", "adl": "adl", "shared": "socialised"}
PAID_BY = {BY_FEES: "liquidation_fees", BY_INSURANCE: "insurance"}
HEALTHY, CANCELS, CLOSED, COOLING = 1, 2, 3, 4
"""How a step ends."""


class Later(Refused):
    """Refused until a moment."""

    def __init__(self, code: str, until_ns: int) -> None:
        super().__init__(code)
        self.until_ns = until_ns


@dataclass(frozen=True)
class Step:
    """What one liquidation command did."""

    lots: int = 0
    notional: int = 0
    fee: int = 0
    reward: int = 0
    cancelled_only: bool = False
    stages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sale:
    """A maker's order takes lots of a position that is liquidated, or a passive order of one is taken."""

    maker: int
    price: int
    lots: int
    maker_fee: int
    taker_fee: int = 0


@dataclass
class Times:
    """Moments of the steps that reduced one position; 0 = none."""

    last_ns: int = 0
    begun_ns: int = 0
    """Since when a rest that nobody took waits."""
    offer: int = -1
    offer_ns: int = 0
    """Until when the step waits for its passive order, `offer`."""
    offer_lots: int = 0


@dataclass
class LiquidationModel(WaterfallModel):
    times: dict[Holder, Times] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    sales: list[Sale] = field(default_factory=list)
    deviations: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    """Market → mean (1e-6 ticks), variance (ppm²), when."""
    tokens: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Market → micro-quote that may be sold, when (P5.4)."""

    # -- what a market may sell (P5.4) ----------------------------------------------------------------------

    def observe(self, market: int, mark: int) -> None:
        mean, variance, then_ns = self.deviations.get(market, (0, 0, 0))
        if mean:
            mean, variance = lm.deviation_step(mean, variance, mark, self.now_ns - then_ns)
        else:
            mean = mark * lm.PPM
        self.deviations[market] = (mean, variance, self.now_ns)

    def update_mark(self, market: int) -> None:
        before = self.ticker(market).mark
        super().update_mark(market)
        mark = self.ticker(market).mark
        if mark is not None and mark != before:
            self.observe(market, mark)

    def interest_value(self, market: int) -> int:
        mark, unit = self.ticker(market).mark or 0, self.markets[market].unit
        return self.open_interest(market) * mark * unit

    def rate_left(self, market: int) -> int:
        """The bucket holds a second's worth and fills within a second."""
        _, variance, _ = self.deviations.get(market, (0, 0, 0))
        size = lm.rate_limit(lm.isqrt(variance), self.interest_value(market))
        tokens, then_ns = self.tokens.get(market, (0, 0))
        elapsed = min(self.now_ns - then_ns, lm.SECOND_NS)
        return min(size, tokens + size * elapsed // lm.SECOND_NS)

    def spend_rate(self, market: int, value: int) -> None:
        self.tokens[market] = (self.rate_left(market) - value, self.now_ns)

    # -- commands -------------------------------------------------------------------------------------------

    def liquidate(self, account: int, sub: int, market: int, keeper: int | None = None) -> Step:
        """0404: one step. Raises Refused."""
        market = self.plan(account, sub, market, keeper)
        return self.act(account, sub, market, keeper)

    def complete(self, account: int, sub: int, market: int) -> Step:
        """0405: five seconds after a step that did not help, the rest is taken over."""
        if not self.position((account, sub, market)).lots:
            raise Refused("POSITION_NOT_FOUND")
        begun_ns = self.times.get((account, sub, market), Times()).begun_ns
        if not begun_ns or self.now_ns < begun_ns + UNFILLED_NS:
            raise Refused("NOTHING_DUE")
        if not self.is_liquidatable(account, sub):
            raise Refused("POSITION_HEALTHY")
        return self.act(account, sub, -1)

    def is_liquidatable(self, account: int, sub: int) -> bool:
        health = self.health(account, sub)
        return lm.is_liquidatable(health.equity, health.maintenance_margin)

    def plan(self, account: int, sub: int, named: int, keeper: int | None = None) -> int:
        """The market that a step would reduce now, -1 = everything is taken over. Raises Refused."""
        if not self.position((account, sub, named)).lots:
            raise Refused("POSITION_NOT_FOUND")
        health = self.health(account, sub)
        if not lm.is_liquidatable(health.equity, health.maintenance_margin):
            raise Refused("POSITION_HEALTHY")
        market = self.largest_market(account, sub)
        holder = (account, sub, market)
        times = self.times.get(holder, Times())
        overdue = times.begun_ns and self.now_ns >= times.begun_ns + UNFILLED_NS
        # Only the engine itself ends what the book did not take (row 0405).
        if health.equity <= 0 or (overdue and keeper is None):
            return -1
        if self.now_ns < times.offer_ns and self.orders[times.offer].is_open:
            raise Later("TRANCHE_COOLDOWN", times.offer_ns)
        value = abs(self.value_at_mark(holder))
        ready_ns = times.last_ns + lm.TRANCHE_NS
        sliced = lm.needs_tranches(value, health.equity, health.maintenance_margin)
        if sliced and times.last_ns and self.now_ns < ready_ns:
            raise Later("TRANCHE_COOLDOWN", ready_ns)
        if self.rate_left(market) < (self.ticker(market).mark or 0) * self.markets[market].unit:
            raise Refused("LIQUIDATION_RATE_LIMITED")
        return market

    def act(self, account: int, sub: int, market: int, keeper: int | None = None) -> Step:
        """Carries out what was planned."""
        noted = len(self.happened)
        if market < 0:
            self.take_over(account, sub)
            self.forget_times(account, sub)
            stages = (
                STAGES.get(str(row[0])) or (PAID_BY.get(row[4]) if row[0] == "covered" else None)
                for row in self.happened[noted:]
            )
            return self.done(Step(stages=tuple(stage for stage in stages if stage)))
        self.cancel_orders_of(account, sub)
        if not self.is_liquidatable(account, sub):
            self.look(account, sub)
            self.end_step((account, sub, market), CANCELS)
            return self.done(Step(cancelled_only=True))
        return self.done(self.sell((account, sub, market), keeper))

    def done(self, step: Step) -> Step:
        self.steps.append(step)
        return step

    def end_step(self, holder: Holder, reason: int) -> None:
        """A step is over. Nothing here plans the next one."""

    # -- one sale -------------------------------------------------------------------------------------------

    def tranche_share(self, market: int) -> Fraction:
        return lm.TRANCHE_SHARE

    def band_ppm(self, market: int) -> int:
        return lm.LIQUIDATION_SLIPPAGE_PPM

    def limit_of(self, holder: Holder, health: Health, lots: int) -> int:
        """The worst price of a sale of `lots` (P5.5), with which E/MM strictly rises (P5.10)."""
        market, held = self.perpetual(holder[2]), self.position(holder).lots
        mark, loss = self.ticker(holder[2]).mark or 0, None
        if lots < abs(held):
            left = lm.notional(mark, abs(held) - lots, market.unit)
            rest = lm.margin(left, market.maintenance_ppm(left))
            after = health.maintenance_margin - self.maintenance_of(holder) + rest
            loss = lm.ratio_keeping_loss(health.equity, health.maintenance_margin, after)
        bankruptcy = lm.bankruptcy_price(held, health.equity, mark, market.unit)
        return lm.execution_limit(
            held, mark, bankruptcy, loss, lots, market.unit, band_ppm=self.band_ppm(holder[2])
        )

    def fee_rate(self, holder: Holder) -> int:
        market = self.perpetual(holder[2])
        return lm.liquidation_fee_e6bp(
            market.liquidation_fee_e6bp, market.maintenance_ppm(abs(self.value_at_mark(holder)))
        )

    def wanted_lots(self, holder: Holder, health: Health) -> int:
        """P5.2 and P5.3, before what the market's rate leaves."""
        market, lots, mark = (
            self.perpetual(holder[2]),
            self.position(holder).lots,
            self.ticker(holder[2]).mark or 0,
        )
        value = abs(self.value_at_mark(holder))
        size = lm.step_lots(
            lots, mark, market.unit, health.equity, health.maintenance_margin,
            market.maintenance_ppm(value), self.fee_rate(holder),
        )  # fmt: skip
        if lm.needs_tranches(value, health.equity, health.maintenance_margin):
            size = min(size, max(1, lm.floor_of(self.tranche_share(holder[2]) * abs(lots))))
        return size

    def sell(self, holder: Holder, keeper: int | None) -> Step:
        """Sells (buys back) in the book within the limit; then fee and reward."""
        account, sub, market = holder
        health, times = self.health(account, sub), self.times.setdefault(holder, Times())
        wanted, left = self.wanted_lots(holder, health), self.rate_left(market)
        mark, unit = self.ticker(market).mark or 0, self.markets[market].unit
        lots = min(wanted, max(1, left // (mark * unit)))
        if times.offer_ns:
            lots = min(lots, times.offer_lots)
        limit = self.limit_of(holder, health, lots)
        value = abs(self.value_at_mark(holder))
        cut = int(lm.needs_tranches(value, health.equity, health.maintenance_margin)) | (lots < wanted) << 1
        price = None if times.offer_ns else self.passive_price(holder, limit)
        self.note("started", *holder, lots, limit, cut, self.stage_of(market, price), left)
        if price is not None:
            self.offer_first(holder, price, lots)
            return Step()
        self.busy = (account, sub)
        rate = self.fee_rate(holder)
        done_lots, done_value = self.match_liquidation(holder, lots, limit)
        self.busy = None
        self.spend_rate(market, done_value)
        times.offer, times.offer_ns, times.offer_lots = -1, 0, 0
        if done_lots:
            times.last_ns = self.now_ns
        times.begun_ns = 0 if done_lots == lots else times.begun_ns or self.now_ns
        charge, reward = self.charge(holder, health, done_value, rate, keeper)
        self.note("stepped", *holder, done_lots, lots - done_lots, done_value, charge)
        if not self.is_liquidatable(account, sub):
            self.forget_times(account, sub)
        self.look(account, sub)
        self.end_step(holder, COOLING)
        return Step(done_lots, done_value, charge, reward)

    def forget_times(self, account: int, sub: int) -> None:
        """Back to HEALTHY (P2.3.3): the next fall is another liquidation and waits for nothing."""
        for holder in [one for one in self.times if one[:2] == (account, sub)]:
            del self.times[holder]

    def passive_price(self, holder: Holder, limit: int) -> int | None:
        """Where a passive order precedes the sale (P5.9)."""
        return None

    def stage_of(self, market: int, price: int | None) -> int:
        return 0

    def offer_first(self, holder: Holder, price: int, lots: int) -> None:
        raise NotImplementedError

    def charge(
        self, holder: Holder, before: Health, value: int, rate: int, keeper: int | None
    ) -> tuple[int, int]:
        """Fee of a sale and what of it is the keeper's (P5.7)."""
        account, sub, market = holder
        after, asset = self.health(account, sub), self.markets[market].quote
        charge = lm.liquidation_fee(value, rate, after.equity)
        if self.position(holder).lots:
            # E/MM must rise: what the fee may take is what the sale left above the old ratio (P5.10).
            kept = lm.floor_of(Fraction(before.equity * after.maintenance_margin, before.maintenance_margin))
            charge = min(charge, max(0, after.equity - kept - 1))
        reward = lm.keeper_reward(value, charge) if value and keeper is not None else 0
        to_pool, to_insurance = lm.fee_shares(charge, reward)
        self.post(account, sub, asset, FREE, -charge)
        if keeper is not None:
            self.post(keeper, 0, asset, FREE, reward)
        self.post(SYSTEM_ACCOUNT, 0, asset, LIQUIDATION_FEES, to_pool)
        self.post(SYSTEM_ACCOUNT, 0, asset, INSURANCE, to_insurance)
        return charge, reward

    def match_liquidation(self, holder: Holder, size: int, limit: int) -> tuple[int, int]:
        """Trades `size` lots against the book at the makers' prices; no trading fee for the liquidated."""
        account, sub, number = holder
        sells = self.position(holder).lots > 0
        probe = Order(-1, account, sub, number, SELL if sells else BUY, limit, size, size, 0, 1, 0, 1, 0, b"")
        done_lots = done_value = 0
        self.set_stale(number)
        while probe.remaining and (makers := self.meeting(probe)):
            maker = makers[0]
            if self.is_expired(maker) or maker.account == account or not self.takes(maker):
                self.end(maker)
                continue
            lots = self.lots_of(probe, maker)
            value = lm.notional(maker.price, lots, self.markets[number].unit)
            charge = self.exchange_in_book(holder, maker, lots, value)
            self.sales.append(Sale(maker.number, maker.price, lots, charge))
            probe.remaining -= lots
            done_lots, done_value = done_lots + lots, done_value + value
        return done_lots, done_value

    def takes(self, maker: Order) -> bool:
        """Whether a liquidation's sale trades with this order, or removes it."""
        return maker.account != SYSTEM_ACCOUNT or self.fund_gains(maker)

    def exchange_in_book(self, taker: Holder, maker: Order, lots: int, value: int) -> int:
        """One side of the book gives way; the maker's fee, which insurance's own orders do not pay."""
        market = self.perpetual(maker.market)
        sign = 1 if maker.side == BUY else -1
        self.trade(taker, -sign * lots, -sign * value)
        self.trade((maker.account, maker.sub, maker.market), sign * lots, sign * value)
        charge = 0 if maker.account == SYSTEM_ACCOUNT else fee(value, market.maker_fee_e6bp)
        self.post(maker.account, maker.sub, market.quote, FREE, -charge)
        self.split(market.quote, charge)
        maker.remaining -= lots
        maker.is_open = maker.remaining > 0
        self.look(maker.account, maker.sub)
        return charge
