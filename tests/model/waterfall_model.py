"""Where a loss goes (P5.6, P5.8): owner, pool of fees, insurance, opposing positions, winners of the market.

The insurance fund holds positions like a sub-account: (`SYSTEM_ACCOUNT`, 0, market). What happens
is noted in `happened`, one tuple each, so that a test can compare it with an engine's events one by one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import leverage_math as lm
from exchange_model import BUY, FREE, INSURANCE, MAX_PRICE, SELL, SYSTEM_ACCOUNT, Order
from leverage_model import LIQUIDATION_FEES, Holder, LeveragedModel

INSURANCE_SHARE = 5
"""One position takes at most a fifth of the fund (P5.6)."""
FUND_PERIOD_NS = 10 * lm.SECOND_NS
SETTLEMENT = 0
FUND = (SYSTEM_ACCOUNT, 0)
BY_OWNER, BY_FEES, BY_INSURANCE, BY_NOBODY = 1, 2, 3, 6
"""Who covers a deficit in cash: the owner's other collateral, fees, insurance; at last the fund owes it."""
COLLATERAL_SCALE = 10**10
"""Prices are of 10^6 micro-units, weights in bp."""


@dataclass
class WaterfallModel(LeveragedModel):
    happened: list[tuple[object, ...]] = field(default_factory=list)
    fund_ns: int = 0
    """When the fund looks at its positions next; 0 = it has none."""
    busy: tuple[int, int] | None = None
    """The sub-account that is being liquidated: it is looked at when that is over."""

    def note(self, *what: object) -> None:
        self.happened.append(what)

    def look(self, account: int, sub: int) -> None:
        """A sub-account's positions or money moved. Nothing here asks for its health."""

    def pool(self, line: int, asset: int) -> int:
        return self.line(SYSTEM_ACCOUNT, 0, asset, line)

    def largest_market(self, account: int, sub: int) -> int:
        """The market whose maintenance margin is largest; the lower number on a tie."""
        held = self.held_by(account, sub)
        return max(held, key=lambda market: (self.maintenance_of((account, sub, market)), -market))

    def value_at_mark(self, holder: Holder) -> int:
        """Signed as the lots."""
        mark, unit = self.ticker(holder[2]).mark or 0, self.markets[holder[2]].unit
        return self.position(holder).lots * mark * unit

    def cancel_orders_of(self, account: int, sub: int) -> int:
        """How many there were."""
        mine = [o for o in self.orders if o.is_open and (o.account, o.sub) == (account, sub)]
        for order in mine:
            self.end(order)
        return len(mine)

    # -- the takeover of everything that a sub-account holds ------------------------------------------------

    def take_over(self, account: int, sub: int) -> None:
        """Every position ends, the one with the largest margin first; then what is owed is covered."""
        self.cancel_orders_of(account, sub)
        self.busy, market = (account, sub), None
        while self.held_by(account, sub):
            market = self.largest_market(account, sub)
            self.end_position((account, sub, market))
        if market is not None:
            self.cover_deficit(account, sub, market)
        self.busy = None
        self.look(account, sub)

    def share_of_equity(self, holder: Holder) -> int:
        """What the sub-account has (owes), over its positions by notional; the fees' pool pays first."""
        account, sub, market = holder
        equity = self.equity(account, sub, initial=False)
        if equity < 0:
            pool = self.pool(LIQUIDATION_FEES, self.markets[market].quote)
            equity += self.cover(holder, BY_FEES, min(-equity, pool))
        worths = [abs(self.value_at_mark((account, sub, index))) for index in self.held_by(account, sub)]
        return lm.floor_div(equity * abs(self.value_at_mark(holder)), sum(worths))

    def end_position(self, holder: Holder) -> None:
        market = holder[2]
        share, lots = self.share_of_equity(holder), self.position(holder).lots
        size, sign, unit = abs(lots), 1 if lots > 0 else -1, self.markets[market].unit
        # At this value exactly nothing is left of the share: the bankruptcy price. No price is below a tick.
        value = self.value_at_mark(holder) - share
        value = sign * max(sign * value, size * unit)
        gone = 0

        def worth(count: int) -> int:
            """Of the next lots. Prefixes are rounded down once, so that the parts sum to the whole."""
            upto = [lm.floor_div(value * n, size) for n in (gone, gone + count)]
            return upto[1] - upto[0]

        insured = self.insurable_lots(holder, share)
        if insured:
            self.hand_to_fund(holder, sign * insured, worth(insured))
            gone += insured
        rank = 0
        while gone < size and (rows := self.ranked(holder, sign)):
            other, score = rows[0]
            count, rank = min(size - gone, abs(self.position(other).lots)), rank + 1
            part = worth(count)
            gone += count
            self.exchange(holder, other, sign * count, part)
            self.note("adl", *other, rank, sign * count, part, abs(part) // (count * unit), score)
            self.look(*other[:2])
        if gone < size:
            left = sign * (size - gone)
            self.hand_to_fund(holder, left, left * (self.ticker(market).mark or 0) * unit)

    def exchange(self, source: Holder, target: Holder, lots: int, value: int) -> None:
        """Signed lots leave `source` for their value and come to `target`; no fee."""
        self.trade(source, -lots, -value)
        self.trade(target, lots, value)

    def insurable_lots(self, holder: Holder, share: int) -> int:
        """Up to the market's limit and a fifth of the fund; the fund keeps at least 1 micro (P5.6)."""
        number = holder[2]
        market, fund = self.perpetual(number), self.pool(INSURANCE, self.markets[number].quote)
        lots, mark = self.position(holder).lots, self.ticker(number).mark or 0
        limit = min(market.insurance_limit, max(0, fund) // INSURANCE_SHARE)
        held = self.position((*FUND, number)).lots
        most = limit // (mark * market.unit) - (held if lots > 0 else -held)
        if share < 0:
            most = min(most, max(0, fund - 1) * abs(lots) // -share)
        return lm.clamp(most, 0, abs(lots))

    def hand_to_fund(self, holder: Holder, lots: int, value: int) -> None:
        """The fund takes lots; insurance lends it what makes them worth nothing at the mark."""
        market, asset = holder[2], self.markets[holder[2]].quote
        fund: Holder = (*FUND, market)
        at_mark = lots * (self.ticker(market).mark or 0) * self.markets[market].unit
        draw = min(max(0, value - at_mark), max(0, self.pool(INSURANCE, asset) - 1))
        held = self.position(fund).lots
        closing = min(abs(held), abs(lots)) if held * lots < 0 else 0
        sign, moved = 1 if lots > 0 else -1, 0
        for count in (closing, abs(lots) - closing):
            if not count:
                continue
            upto = [lm.floor_div(value * n, abs(lots)) for n in (moved, moved + count)]
            moved += count
            lent = draw if moved == abs(lots) else 0
            self.exchange(holder, fund, sign * count, upto[1] - upto[0])
            self.move_insurance(asset, -lent)
            self.note("backstop", *holder, sign * count, upto[1] - upto[0], lent, self.pool(INSURANCE, asset))
        self.fund_holds()

    def move_insurance(self, asset: int, amount: int) -> None:
        """From the fund's account to insurance (negative: the fund is lent)."""
        self.post(SYSTEM_ACCOUNT, 0, asset, FREE, -amount)
        self.post(SYSTEM_ACCOUNT, 0, asset, INSURANCE, amount)

    # -- auto-deleveraging (P5.8) ---------------------------------------------------------------------------

    def ranked(self, holder: Holder, sign: int) -> list[tuple[Holder, int]]:
        """Positions that oppose one of this sign, with their scores, first to be closed first."""
        number = holder[2]
        unit, mark = self.markets[number].unit, self.ticker(number).mark or 0
        rows = []
        for other, position in self.positions.items():
            if other[2] != number or position.lots * sign >= 0 or other[:2] == FUND:
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

    # -- deficits in cash -----------------------------------------------------------------------------------

    def owed_by(self, account: int, sub: int) -> int:
        return -min(0, self.line(account, sub, SETTLEMENT, FREE))

    def cover(self, holder: Holder, stage: int, amount: int) -> int:
        """A pool (the fund) pays for a sub-account; micro-quote paid."""
        if amount <= 0:
            return 0
        account, sub, market = holder
        asset = self.markets[market].quote
        line = {BY_FEES: LIQUIDATION_FEES, BY_INSURANCE: INSURANCE, BY_NOBODY: FREE}[stage]
        self.post(SYSTEM_ACCOUNT, 0, asset, line, -amount)
        self.post(account, sub, asset, FREE, amount)
        self.note("covered", *holder, stage, asset, amount, self.pool(line, asset))
        return amount

    def cover_deficit(self, account: int, sub: int, market: int) -> None:
        holder = (account, sub, market)
        if self.owed_by(account, sub):
            self.seize_collateral(holder)
        self.cover(holder, BY_FEES, min(self.owed_by(account, sub), self.pool(LIQUIDATION_FEES, SETTLEMENT)))
        insured = max(0, self.pool(INSURANCE, SETTLEMENT) - 1)
        self.cover(holder, BY_INSURANCE, min(self.owed_by(account, sub), insured))
        if self.owed_by(account, sub):
            self.socialise(holder)
        if left := self.owed_by(account, sub):
            self.cover(holder, BY_NOBODY, left)
            self.fund_holds()

    def seize_collateral(self, holder: Holder) -> None:
        """Insurance buys the owner's other collateral at its weighted price until nothing is owed."""
        account, sub, _ = holder
        for number in range(1, len(self.assets)):
            owed, held = self.owed_by(account, sub), self.line(account, sub, number, FREE)
            rate = self.price_of(number) * self.assets[number].maintenance_asset_bp
            payable = min(owed, max(0, self.pool(INSURANCE, SETTLEMENT) - 1))
            if not owed or held <= 0 or not rate or not payable:
                continue
            amount = min(lm.ceil_div(payable * COLLATERAL_SCALE, rate), held)
            paid = min(amount * rate // COLLATERAL_SCALE, payable)
            self.post(account, sub, number, FREE, -amount)
            self.post(SYSTEM_ACCOUNT, 0, number, INSURANCE, amount)
            self.post(account, sub, SETTLEMENT, FREE, paid)
            self.post(SYSTEM_ACCOUNT, 0, SETTLEMENT, INSURANCE, -paid)
            self.note("covered", *holder, BY_OWNER, number, amount, self.pool(INSURANCE, SETTLEMENT))

    def socialise(self, holder: Holder) -> None:
        """Winners of the market bear the rest pro rata to their profit at the mark, at most that profit."""
        market, loss = holder[2], self.owed_by(*holder[:2])
        mark, unit = self.ticker(market).mark or 0, self.markets[market].unit
        winners = []
        for other, position in self.positions.items():
            if other[2] != market or other[:2] in (FUND, holder[:2]):
                continue
            profit = lm.unrealised(position.lots, position.cost, mark, unit)
            if profit > 0:
                # The most profitable entry first, longs before shorts: it decides who gets which rounding.
                entry = lm.floor_div(abs(position.cost), abs(position.lots) * unit)
                rank = (0, entry) if position.lots > 0 else (1, -entry)
                winners.append((rank, other, profit))
        winners.sort()
        shares = lm.socialised(loss, [profit for _, _, profit in winners])
        for (_, other, _), share in zip(winners, shares, strict=True):
            if share:
                self.post(*other[:2], SETTLEMENT, FREE, -share)
                self.post(*holder[:2], SETTLEMENT, FREE, share)
                self.note("shared", *other, share, loss)
                self.look(*other[:2])

    # -- what insurance holds -------------------------------------------------------------------------------

    def fund_holds(self) -> None:
        self.fund_ns = self.fund_ns or self.now_ns + FUND_PERIOD_NS

    def work_off(self) -> None:
        """Every ten seconds: spare cash returns to insurance, what is missing comes from it; then orders."""
        self.fund_ns, free = 0, self.line(*FUND, SETTLEMENT, FREE)
        equity = self.equity(*FUND, initial=False)
        if equity >= 0:
            amount = max(0, min(equity, free))
        else:
            amount = -min(-equity, max(0, self.pool(INSURANCE, SETTLEMENT) - 1))
        if amount:
            self.move_insurance(SETTLEMENT, amount)
            self.note("fund", amount, self.pool(INSURANCE, SETTLEMENT))
        for market in range(len(self.markets)):
            if self.is_perpetual(market):
                self.offer_holding(market)
        touched = any(holder[:2] == FUND for holder in self.positions)
        if touched or self.line(*FUND, SETTLEMENT, FREE) < 0:
            self.fund_ns = self.now_ns + FUND_PERIOD_NS

    def fund_orders(self, market: int) -> list[Order]:
        return [o for o in self.orders if o.is_open and (o.account, o.market) == (SYSTEM_ACCOUNT, market)]

    def paid_price(self, market: int) -> int:
        """The price in ticks at which the fund loses nothing, rounded to its side."""
        position, unit = self.position((*FUND, market)), self.markets[market].unit
        size = abs(position.lots) * unit
        if position.lots > 0:
            return lm.ceil_div(position.cost, size)
        return lm.floor_div(-position.cost, size)

    def wanted_offer(self, market: int) -> tuple[int, int, int] | None:
        """(side, price, lots): no worse than mark and than what was paid, beside the best opposite price."""
        lots, mark = self.position((*FUND, market)).lots, self.ticker(market).mark
        if not lots or not mark or not self.fund_may_offer(market):
            return None
        others = self.resting(market, BUY if lots > 0 else SELL)
        if lots > 0:
            price = max(self.paid_price(market), mark, (others[0].price if others else 0) + 1)
        else:
            price = min(self.paid_price(market), mark, (others[0].price if others else MAX_PRICE) - 1)
        return (SELL if lots > 0 else BUY, price, abs(lots)) if 1 <= price <= MAX_PRICE else None

    def fund_may_offer(self, market: int) -> bool:
        return True

    def offer_holding(self, market: int) -> None:
        wanted, present = self.wanted_offer(market), self.fund_orders(market)
        if present and wanted == (present[0].side, present[0].price, present[0].remaining):
            return
        for order in present:
            self.end(order)
        if wanted:
            self.offer((*FUND, market), *wanted, expiry_ns=0)

    def offer(self, holder: Holder, side: int, price: int, lots: int, expiry_ns: int) -> Order:
        """A passive order of a liquidation or of the fund joins the book."""
        account, sub, market = holder
        order = Order(
            len(self.orders), account, sub, market, side, price, lots, lots, 0, 3 if expiry_ns else 0, 3, 1,
            expiry_ns, b"", priority=self.next_priority,
        )  # fmt: skip
        self.next_priority += 1
        self.orders.append(order)
        self.note("offer", *holder, side, price, lots, expiry_ns)
        if self.resting(market, side)[0].price == price:
            self.set_stale(market)
        return order

    def fund_gains(self, order: Order) -> bool:
        lots, paid = self.position((*FUND, order.market)).lots, self.paid_price
        if not lots:
            return False
        return order.price >= paid(order.market) if lots > 0 else order.price <= paid(order.market)
