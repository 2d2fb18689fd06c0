"""Liquidation and the loss waterfall (P5), on top of the leveraged model.

The insurance fund and the sub-accounts are holders of positions alike; the fund's holder is
(`SYSTEM_ACCOUNT`, 0, market).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import leverage_math as lm
from exchange_model import BUY, FREE, INSURANCE, SELL, SYSTEM_ACCOUNT, Order, Refused
from leverage_model import LIQUIDATION_FEES, UNFILLED_NS, Health, Holder, LeveragedModel

INSURANCE_SHARE = 5
"""One position takes at most a fifth of the fund (P5.6)."""


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
    """A maker's order takes lots of a position that is liquidated."""

    maker: int
    price: int
    lots: int
    maker_fee: int


@dataclass
class LiquidationModel(LeveragedModel):
    begun_ns: dict[Holder, int] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    sales: list[Sale] = field(default_factory=list)

    def pool(self, line: int, asset: int) -> int:
        return self.line(SYSTEM_ACCOUNT, 0, asset, line)

    def largest_market(self, account: int, sub: int) -> int:
        """The market whose maintenance margin is largest; the lower number on a tie."""
        held = self.held_by(account, sub)
        return max(held, key=lambda market: (self.maintenance_of((account, sub, market)), -market))

    def liquidate(self, account: int, sub: int, market: int, keeper: int | None = None) -> Step:
        """0404: one step. Raises Refused."""
        if not self.position((account, sub, market)).lots:
            raise Refused("POSITION_NOT_FOUND")
        health = self.health(account, sub)
        if not lm.is_liquidatable(health.equity, health.maintenance_margin):
            raise Refused("POSITION_HEALTHY")
        if health.equity <= 0:
            return self.done(self.take_over(account, sub))
        market = self.largest_market(account, sub)
        holder = (account, sub, market)
        self.check_cooldown(holder, health)
        self.cancel_orders_of(account, sub)
        health = self.health(account, sub)
        if not lm.is_liquidatable(health.equity, health.maintenance_margin):
            return self.done(Step(cancelled_only=True))
        self.begun_ns.setdefault(holder, self.now_ns)
        step = self.reduce(holder, health, keeper)
        health = self.health(account, sub)
        if not lm.is_liquidatable(health.equity, health.maintenance_margin):
            # Back to HEALTHY (P2.3.3): the next fall is another liquidation and waits for nothing.
            self.ticker(market).tranche_ns.pop((account, sub), None)
        return self.done(step)

    def complete(self, account: int, sub: int, market: int) -> Step:
        """0405: five seconds after a step that did not help, the rest is taken over."""
        holder = (account, sub, market)
        if self.now_ns < self.begun_ns.get(holder, self.now_ns + 1) + UNFILLED_NS:
            raise Refused("NOTHING_DUE")
        health = self.health(account, sub)
        if not lm.is_liquidatable(health.equity, health.maintenance_margin):
            raise Refused("POSITION_HEALTHY")
        return self.done(self.take_over(account, sub))

    def done(self, step: Step) -> Step:
        self.steps.append(step)
        return step

    def check_cooldown(self, holder: Holder, health: Health) -> None:
        """P5.3: large positions that are not deep under wait between tranches."""
        market, ticker = self.perpetual(holder[2]), self.ticker(holder[2])
        value = lm.notional(ticker.mark or 0, self.position(holder).lots, market.unit)
        last = ticker.tranche_ns.get(holder[:2])
        if last is None or not lm.needs_tranches(value, health.equity, health.maintenance_margin):
            return
        if self.now_ns < last + lm.TRANCHE_NS:
            raise Refused("TRANCHE_COOLDOWN")

    def cancel_orders_of(self, account: int, sub: int) -> None:
        for order in self.orders:
            if order.is_open and (order.account, order.sub) == (account, sub):
                self.end(order)

    def step_size(self, holder: Holder, health: Health) -> tuple[int, int]:
        """(lots of the step, fee rate in 1e-6 bp)."""
        market, ticker, lots = self.perpetual(holder[2]), self.ticker(holder[2]), self.position(holder).lots
        mark = ticker.mark or 0
        value = lm.notional(mark, lots, market.unit)
        mmf_ppm = market.maintenance_ppm(value)
        rate = lm.liquidation_fee_e6bp(market.liquidation_fee_e6bp, mmf_ppm)
        size = lm.step_lots(lots, mark, market.unit, health.equity, health.maintenance_margin, mmf_ppm, rate)
        if lm.needs_tranches(value, health.equity, health.maintenance_margin):
            size = min(size, max(1, lm.floor_of(lm.TRANCHE_SHARE * abs(lots))))
        return size, rate

    def reduce(self, holder: Holder, health: Health, keeper: int | None) -> Step:
        """Sells (buys back) in the book within the limit of P5.5; then fee and reward."""
        account, sub, market_number = holder
        market, ticker = self.perpetual(market_number), self.ticker(market_number)
        lots, mark = self.position(holder).lots, ticker.mark or 0
        size, rate = self.step_size(holder, health)
        bankruptcy = lm.bankruptcy_price(lots, health.equity, mark, market.unit)
        loss = None
        if size < abs(lots):
            left = lm.notional(mark, abs(lots) - size, market.unit)
            rest = lm.margin(left, market.maintenance_ppm(left))
            after = health.maintenance_margin - self.maintenance_of(holder) + rest
            loss = lm.ratio_keeping_loss(health.equity, health.maintenance_margin, after)
        limit = lm.execution_limit(lots, mark, bankruptcy, loss, size, market.unit)
        done_lots, done_value = self.match_liquidation(holder, size, limit)
        if done_lots:
            ticker.tranche_ns[account, sub] = self.now_ns
        if done_lots == size:
            self.begun_ns.pop(holder, None)
        equity = self.equity(account, sub, initial=False)
        charge = lm.liquidation_fee(done_value, rate, equity)
        if self.position(holder).lots:
            # E/MM must rise: what the fee may take is what the sale left above the old ratio (P5.10).
            margin = self.health(account, sub).maintenance_margin
            kept = lm.floor_of(Fraction(health.equity * margin, health.maintenance_margin))
            charge = min(charge, max(0, equity - kept - 1))
        reward = lm.keeper_reward(done_value, charge) if done_lots and keeper is not None else 0
        to_pool, to_insurance = lm.fee_shares(charge, reward)
        asset = market.quote
        self.post(account, sub, asset, FREE, -charge)
        if keeper is not None:
            self.post(keeper, 0, asset, FREE, reward)
        self.post(SYSTEM_ACCOUNT, 0, asset, LIQUIDATION_FEES, to_pool)
        self.post(SYSTEM_ACCOUNT, 0, asset, INSURANCE, to_insurance)
        return Step(done_lots, done_value, charge, reward)

    def match_liquidation(self, holder: Holder, size: int, limit: int) -> tuple[int, int]:
        """Trades `size` lots against the book at the makers' prices; no trading fee for the liquidated."""
        account, sub, number = holder
        market, sells = self.perpetual(number), self.position(holder).lots > 0
        probe = Order(-1, account, sub, number, SELL if sells else BUY, limit, size, size, 0, 1, 0, 1, 0, b"")
        done_lots = done_value = 0
        for maker in self.crossing(probe):
            lots = min(probe.remaining, maker.remaining)
            if not lots:
                break
            value, sign = lm.notional(maker.price, lots, market.unit), -1 if sells else 1
            self.trade(holder, sign * lots, sign * value)
            self.trade((maker.account, maker.sub, number), -sign * lots, -sign * value)
            charge = lm.fee(value, market.maker_fee_e6bp)
            self.post(maker.account, maker.sub, market.quote, FREE, -charge)
            self.split(market.quote, charge)
            self.sales.append(Sale(maker.number, maker.price, lots, charge))
            maker.remaining -= lots
            maker.is_open = maker.remaining > 0
            probe.remaining -= lots
            done_lots, done_value = done_lots + lots, done_value + value
        return done_lots, done_value

    # -- the waterfall (P5.6) -------------------------------------------------------------------------------

    def take_over(self, account: int, sub: int) -> Step:
        """Every position of the sub-account ends, the largest first; the loss goes down the stages."""
        self.cancel_orders_of(account, sub)
        stages: list[str] = []
        while self.held_by(account, sub):
            market = self.largest_market(account, sub)
            self.end_position((account, sub, market), stages)
        return Step(stages=tuple(stages))

    def end_position(self, holder: Holder, stages: list[str]) -> None:
        account, sub, number = holder
        asset = self.markets[number].quote
        last = len(self.held_by(account, sub)) == 1
        equity = self.equity(account, sub, initial=False)
        if equity < 0 and last:
            covered = min(-equity, max(0, self.pool(LIQUIDATION_FEES, asset)))
            if covered:
                stages.append("liquidation_fees")
                self.post(SYSTEM_ACCOUNT, 0, asset, LIQUIDATION_FEES, -covered)
                self.post(account, sub, asset, FREE, covered)
                equity += covered
        # At this total value the sub-account is left with exactly nothing: the bankruptcy price.
        self.settle_funding(holder)
        lots = self.position(holder).lots
        mark_value = lots * (self.ticker(number).mark or 0) * self.markets[number].unit
        value = mark_value - equity
        taken = self.insurable_lots(holder, equity)
        if taken:
            stages.append("insurance")
            part = value if taken == abs(lots) else lm.floor_div(value * taken, abs(lots))
            self.hand_over(holder, (SYSTEM_ACCOUNT, 0, number), taken if lots > 0 else -taken, part)
            value -= part
        if taken < abs(lots):
            self.deleverage(holder, value, stages)

    def insurable_lots(self, holder: Holder, equity: int) -> int:
        """Up to the market's limit and a fifth of the fund; the fund keeps at least 1 micro (P5.6)."""
        number = holder[2]
        market, fund = self.perpetual(number), self.pool(INSURANCE, self.markets[number].quote)
        lots, mark = abs(self.position(holder).lots), self.ticker(number).mark or 0
        if fund + min(0, equity) < 1:
            return 0
        held = self.position((SYSTEM_ACCOUNT, 0, number)).lots
        limit = min(market.insurance_limit, fund // INSURANCE_SHARE)
        return lm.clamp(limit // (mark * market.unit) - abs(held), 0, lots)

    def hand_over(self, source: Holder, target: Holder, lots: int, value: int) -> None:
        """Signed lots leave `source` for their value and come to `target`; no fee."""
        self.trade(source, -lots, -value)
        self.trade(target, lots, value)

    def ranked(self, holder: Holder) -> list[tuple[Holder, int]]:
        """P5.8: opposing positions with their scores, first to be closed first."""
        lots, number = self.position(holder).lots, holder[2]
        unit, mark = self.markets[number].unit, self.ticker(number).mark or 0
        rows = []
        for other, position in self.positions.items():
            if other[2] != number or position.lots * lots >= 0 or other[0] == SYSTEM_ACCOUNT:
                continue
            value = lm.notional(mark, position.lots, unit)
            score = lm.adl_score_ppm(
                lm.unrealised(position.lots, position.cost, mark, unit),
                position.cost,
                value,
                self.equity(other[0], other[1], initial=False),
            )
            if score is not None:
                rows.append((other, score, value))
        rows.sort(key=lambda row: (-row[1], -row[2], row[0]))
        return [(other, score) for other, score, _ in rows]

    def deleverage(self, holder: Holder, value: int, stages: list[str]) -> None:
        """ADL at the bankrupt side's price: `value` is what all lots are worth at it (signed as the lots)."""
        lots = self.position(holder).lots
        size, gone, paid = abs(lots), 0, 0
        sign = 1 if lots > 0 else -1
        for other, _ in self.ranked(holder):
            take = min(size - gone, abs(self.position(other).lots))
            if not take:
                break
            stages.append("adl")
            gone += take
            # The k-th prefix of lots is rounded once, so that the parts sum to the whole.
            upto = lm.floor_div(value * gone, size) if gone < size else value
            part, paid = upto - paid, upto
            self.hand_over(holder, other, sign * take, part)
        if gone < size:
            self.socialise(holder, stages)

    def socialise(self, holder: Holder, stages: list[str]) -> None:
        """The last step: the rest closes at mark and its loss is taken from profits of the market."""
        account, sub, number = holder
        market, lots = self.markets[number], self.position(holder).lots
        value = lots * (self.ticker(number).mark or 0) * market.unit
        self.hand_over(holder, (SYSTEM_ACCOUNT, 0, number), lots, value)
        loss = -min(0, self.line(account, sub, market.quote, FREE))
        winners = sorted(other for other in self.positions if other[2] == number and other[0] >= 0)
        shares = lm.socialised(loss, [self.profit(other) for other in winners])
        stages.append("socialised")
        for other, share in zip(winners, shares, strict=True):
            self.post(other[0], other[1], market.quote, FREE, -share)
            self.post(account, sub, market.quote, FREE, share)
