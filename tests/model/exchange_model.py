"""A small exchange written a second time, from the specification and not from the engine.

Plain dictionaries, lists and Python integers: ledger, one order list a market, idempotency, expiries, the
dead man's switch. It predicts the answer to every command, every fill and every balance. Slow and short on
purpose: whoever reads it should see that it is right.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

SECOND_NS = 10**9
KEY_VALIDITY_NS = 60 * SECOND_NS
MAX_PRICE = 2**31 - 1
MAX_LOTS = 2**40
MAX_BALANCE = 4 * 10**18
ORDERS_PER_SUB_MARKET = 200

BUY, SELL = 0, 1
LIMIT, MARKET = 0, 1
GTC, IOC, FOK, GTD = 0, 1, 2, 3
POST_ONLY = 1
CANCEL_NEWEST, CANCEL_OLDEST, CANCEL_BOTH, DECREMENT = 0, 1, 2, 3
FREE, HELD, WORLD = 0, 1, 0x80
VAULT, INSURANCE, STAKERS, MAKERS = 0x83, 0x85, 0x88, 0x89
ALL_MARKETS, ALL = 2**32 - 1, 255
SYSTEM_ACCOUNT = -1


class Refused(Exception):
    """The command is refused with this code."""


@dataclass(frozen=True)
class Market:
    base: int
    quote: int
    unit: int
    lot_size: int
    taker_fee_e6bp: int
    maker_fee_e6bp: int
    band_bp: int
    slippage_bp: int
    min_notional: int
    max_notional: int

    @property
    def worst_rate(self) -> int:
        return max(self.taker_fee_e6bp, self.maker_fee_e6bp)


@dataclass
class Order:
    number: int
    account: int
    sub: int
    market: int
    side: int
    price: int
    total: int
    remaining: int
    order_type: int
    time_in_force: int
    flags: int
    self_trade_prevention: int
    expiry_ns: int
    client_key: bytes
    priority: int = 0
    reserve: int = 0
    is_open: bool = True


@dataclass(frozen=True)
class Fill:
    maker: int
    taker: int
    price: int
    lots: int
    taker_fee: int
    maker_fee: int


def ceil_div(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


def fee(notional: int, rate_e6bp: int) -> int:
    """P8.5: rounded up once per fill; rates in 1e-6 bp, 10^10 of them are the whole."""
    return ceil_div(notional * rate_e6bp, 10**10)


@dataclass
class Model:
    markets: list[Market]
    now_ns: int = 0
    lines: dict[tuple[int, int, int, int], int] = field(default_factory=dict)
    """Micro-units by (account, sub-account, asset, line); system lines under SYSTEM_ACCOUNT."""
    subs: set[tuple[int, int]] = field(default_factory=set)
    orders: list[Order] = field(default_factory=list)
    """Every order ever accepted; its number is its position."""
    last_price: dict[int, int] = field(default_factory=dict)
    keys: dict[tuple[int, bytes], tuple[object, int | None, int]] = field(default_factory=dict)
    deposits: set[bytes] = field(default_factory=set)
    switches: dict[int, int] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    next_priority: int = 1

    # -- ledger -------------------------------------------------------------------------------------------

    def post(self, account: int, sub: int, asset: int, line: int, amount: int) -> None:
        key = (account, sub, asset, line)
        self.lines[key] = self.lines.get(key, 0) + amount

    def line(self, account: int, sub: int, asset: int, line: int) -> int:
        return self.lines.get((account, sub, asset, line), 0)

    def move(self, account: int, sub: int, asset: int, source: int, target: int, amount: int) -> None:
        self.post(account, sub, asset, source, -amount)
        self.post(account, sub, asset, target, amount)

    # -- the envelope -------------------------------------------------------------------------------------

    def keyed(self, account: int, key: bytes, body: object, act: object) -> tuple[bool, int | None]:
        """Runs `act` unless the key is live. (duplicate, value); raises Refused."""
        known = self.keys.get((account, key)) if any(key) else None
        if known and known[2] >= self.now_ns:
            if known[0] == body:
                return True, known[1]
            raise Refused("IDEMPOTENCY_CONFLICT")
        value = act()  # type: ignore[operator]
        if any(key):
            self.keys[account, key] = (body, value, self.now_ns + KEY_VALIDITY_NS)
        return False, value

    def need_sub(self, account: int, sub: int) -> None:
        if (account, sub) not in self.subs:
            raise Refused("SUB_ACCOUNT_NOT_FOUND")

    # -- collateral ---------------------------------------------------------------------------------------

    def deposit(self, account: int, sub: int, asset: int, amount: int, external_id: bytes) -> None:
        self.need_sub(account, sub)
        if amount < 1:
            raise Refused("INVALID_AMOUNT")
        if amount > MAX_BALANCE:
            raise Refused("ABOVE_MAXIMUM")
        if external_id in self.deposits:
            raise Refused("DUPLICATE_DEPOSIT")
        if amount - self.line(SYSTEM_ACCOUNT, 0, asset, WORLD) > MAX_BALANCE:
            raise Refused("ASSET_CAP_EXCEEDED")
        self.deposits.add(external_id)
        self.post(SYSTEM_ACCOUNT, 0, asset, WORLD, -amount)
        self.post(account, sub, asset, FREE, amount)

    def open_sub_account(self, account: int, index: int) -> None:
        if index > 127:
            raise Refused("CAPACITY_EXCEEDED")
        if (account, index) in self.subs:
            raise Refused("ALREADY_EXISTS")
        self.subs.add((account, index))

    def check_transfer(self, account: int, sub: int, to_sub: int, amount: int) -> None:
        self.need_sub(account, sub)
        if sub == to_sub:
            raise Refused("TRANSFER_SAME_ACCOUNT")
        if amount < 1:
            raise Refused("INVALID_AMOUNT")
        if amount > MAX_BALANCE:
            raise Refused("ABOVE_MAXIMUM")
        self.need_sub(account, to_sub)

    def transfer(self, account: int, sub: int, to_sub: int, asset: int, amount: int) -> None:
        self.check_transfer(account, sub, to_sub, amount)
        if amount > self.line(account, sub, asset, FREE):
            raise Refused("INSUFFICIENT_BALANCE")
        self.post(account, sub, asset, FREE, -amount)
        self.post(account, to_sub, asset, FREE, amount)

    # -- books --------------------------------------------------------------------------------------------

    def resting(self, market: int, side: int) -> list[Order]:
        """Open orders of a side, first to trade first."""
        sign = -1 if side == BUY else 1
        rows = [
            order for order in self.orders if order.is_open and (order.market, order.side) == (market, side)
        ]
        return sorted(rows, key=lambda order: (sign * order.price, order.priority))

    def reference(self, market: int) -> int:
        """Median of best bid, best ask and last trade; 0 without a trade and two sides."""
        bids, asks = self.resting(market, BUY), self.resting(market, SELL)
        known = sorted(side[0].price for side in (bids, asks) if side)
        last = self.last_price.get(market, 0)
        if last:
            known = sorted([*known, last])
        elif len(known) < 2:
            return 0
        if len(known) == 2:
            return sum(known) // 2
        return known[len(known) // 2]

    def band(self, market: int, side: int) -> tuple[int, int]:
        """Lowest and highest price: the configured distance on the aggressive side, half on the other."""
        reference, near, far = self.reference(market), self.markets[market].band_bp, 5_000
        if not reference:
            return 1, MAX_PRICE
        below, above = (far, near) if side == BUY else (near, far)
        low = ceil_div(reference * (10_000 - below), 10_000)
        return max(1, low), reference * (10_000 + above) // 10_000

    def reserve_of(self, order: Order) -> tuple[int, int]:
        """Asset and micro-units of `held` that secure the order's rest."""
        market = self.markets[order.market]
        if order.side == SELL:
            return market.base, order.remaining * market.lot_size
        notional = order.price * order.remaining * market.unit
        return market.quote, notional + fee(notional, market.worst_rate)

    def check_risk(self, order: Order, old: Order | None) -> None:
        """The reserve is there, counting what the replaced order holds."""
        asset, needed = self.reserve_of(order)
        if needed - (old.reserve if old else 0) > self.line(order.account, order.sub, asset, FREE):
            raise Refused("INSUFFICIENT_BALANCE")

    def secure_again(self, order: Order) -> int:
        """Sets the reserve to what the rest needs and returns what became free of it."""
        asset, needed = self.reserve_of(order)
        freed, order.reserve = order.reserve - needed, needed
        self.post(order.account, order.sub, asset, HELD, -freed)
        self.post(order.account, order.sub, asset, FREE, freed)
        return freed

    def end(self, order: Order) -> None:
        order.is_open = False
        asset, _ = self.reserve_of(order)
        self.move(order.account, order.sub, asset, HELD, FREE, order.reserve)
        order.reserve = 0

    def is_expired(self, order: Order) -> bool:
        return order.time_in_force == GTD and order.expiry_ns <= self.now_ns

    # -- orders -------------------------------------------------------------------------------------------

    def check_form(self, order: Order, stated_price: int) -> None:
        """P2.4.2 to P2.4.5 on an order whose price is already the protective one if it is a market order."""
        market = self.markets[order.market]
        if not 1 <= order.remaining <= MAX_LOTS:
            raise Refused("INVALID_SIZE")
        if order.order_type == MARKET:
            reference = self.reference(order.market)
            if not reference:
                raise Refused("NO_LIQUIDITY")
            away = market.slippage_bp
            if order.side == BUY:
                order.price = min(MAX_PRICE, reference * (10_000 + away) // 10_000)
            else:
                order.price = max(1, ceil_div(reference * (10_000 - away), 10_000))
        in_domain = 1 <= order.price <= MAX_PRICE
        if in_domain:
            notional = order.price * order.remaining * market.unit
            if notional > MAX_BALANCE:
                raise Refused("MATH_OVERFLOW")
            if notional < market.min_notional and self.has_value_limits(order):
                raise Refused("ORDER_TOO_SMALL")
            if notional > market.max_notional and self.has_value_limits(order):
                raise Refused("ORDER_TOO_LARGE")
        immediate = order.time_in_force in (IOC, FOK)
        fits = immediate if order.order_type == MARKET else True
        if order.flags & POST_ONLY and (immediate or order.order_type == MARKET):
            fits = False
        if not fits or (order.time_in_force != GTD and order.expiry_ns):
            raise Refused("INVALID_TIME_IN_FORCE")
        if order.time_in_force == GTD and order.expiry_ns <= self.now_ns:
            raise Refused("ORDER_EXPIRED")
        if order.time_in_force == GTD and order.expiry_ns > self.now_ns + 30 * 86_400 * SECOND_NS:
            raise Refused("ORDER_EXPIRY_TOO_FAR")
        if order.order_type == MARKET and stated_price:
            raise Refused("MARKET_ORDER_HAS_PRICE")
        if not in_domain:
            raise Refused("INVALID_PRICE")
        low, high = self.band(order.market, order.side)
        if order.price < low:
            raise Refused("PRICE_TOO_LOW")
        if order.price > high:
            raise Refused("PRICE_TOO_HIGH")

    def crossing(self, order: Order) -> list[Order]:
        """Live resting orders that the order would meet, in the order in which it meets them."""
        makers = [maker for maker in self.resting(order.market, 1 - order.side) if not self.is_expired(maker)]
        if order.side == BUY:
            return [maker for maker in makers if maker.price <= order.price]
        return [maker for maker in makers if maker.price >= order.price]

    def check_execution(self, order: Order) -> None:
        """P2.5.1 and P3.4: refusals before anything changes."""
        if order.order_type == MARKET and not self.resting(order.market, 1 - order.side):
            raise Refused("NO_LIQUIDITY")
        makers = self.crossing(order)
        if makers and order.flags & POST_ONLY:
            raise Refused("POST_ONLY_WOULD_TAKE")
        if makers and makers[0].account == order.account and order.self_trade_prevention == CANCEL_NEWEST:
            raise Refused("SELF_TRADE_PREVENTED")
        if order.time_in_force == FOK and self.feasible(order, makers) < order.remaining:
            raise Refused("FOK_NOT_FILLABLE")

    def feasible(self, order: Order, makers: list[Order]) -> int:
        low, high = self.band(order.market, order.side)
        total = 0
        for maker in makers:
            if not low <= maker.price <= high:
                break
            if maker.account != order.account:
                total += maker.remaining
            elif order.self_trade_prevention != CANCEL_OLDEST:
                break
        return total

    def place(self, order: Order) -> int:
        self.need_sub(order.account, order.sub)
        if order.market >= len(self.markets):
            raise Refused("MARKET_NOT_FOUND")
        self.check_form(order, order.price)
        open_here = [
            other
            for other in self.orders
            if other.is_open
            and (other.account, other.sub, other.market) == (order.account, order.sub, order.market)
        ]
        if len(open_here) >= ORDERS_PER_SUB_MARKET:
            raise Refused("TOO_MANY_OPEN_ORDERS")
        self.check_risk(order, None)
        asset, needed = self.reserve_of(order)
        self.check_execution(order)
        order.number = len(self.orders)
        self.move(order.account, order.sub, asset, FREE, HELD, needed)
        order.reserve = needed
        self.execute(order, self.band(order.market, order.side), new=True)
        return order.number

    def execute(self, order: Order, band: tuple[int, int], *, new: bool) -> None:
        """Matches within the band that holds before the command, then rests or ends the remainder."""
        low, high = band
        order.priority, self.next_priority = self.next_priority, self.next_priority + 1
        order.is_open = False
        if new:
            self.orders.append(order)
        stopped = False
        while order.remaining and not stopped:
            makers = self.meeting(order)
            if not makers:
                break
            maker = makers[0]
            if self.is_expired(maker):
                self.end(maker)
            elif not low <= maker.price <= high:
                stopped = True
            elif maker.account == order.account:
                stopped = self.prevent(order, maker)
            else:
                stopped = self.fill(order, maker)
        immediate = order.order_type == MARKET or order.time_in_force in (IOC, FOK)
        if order.remaining and not stopped and not immediate:
            order.is_open = True
        else:
            self.end(order)

    def meeting(self, order: Order) -> list[Order]:
        """As `crossing`, expired makers included: they are removed on sight."""
        makers = self.resting(order.market, 1 - order.side)
        return [
            m for m in makers if (m.price <= order.price if order.side == BUY else m.price >= order.price)
        ]

    def prevent(self, order: Order, maker: Order) -> bool:
        """Self-trade prevention by the incoming order's mode; whether the incoming order ends."""
        mode = order.self_trade_prevention
        if mode == DECREMENT:
            lots = min(order.remaining, maker.remaining)
            for each in (order, maker):
                each.remaining -= lots
                each.total -= lots
                self.secure_again(each)
            maker.is_open = maker.remaining > 0
            return False
        if mode in (CANCEL_OLDEST, CANCEL_BOTH):
            self.end(maker)
        return mode != CANCEL_OLDEST

    def has_value_limits(self, order: Order) -> bool:
        return True

    def lots_of(self, taker: Order, maker: Order) -> int:
        """Lots of the fill between these orders."""
        return min(taker.remaining, maker.remaining)

    def fill(self, taker: Order, maker: Order) -> bool:
        """Trades; whether the taker ends here."""
        market = self.markets[taker.market]
        lots, price = self.lots_of(taker, maker), maker.price
        notional = price * lots * market.unit
        self.last_price[taker.market] = price
        fees = {}
        for order, rate in ((taker, market.taker_fee_e6bp), (maker, market.maker_fee_e6bp)):
            order.remaining -= lots
            freed = self.secure_again(order)
            charge = fee(notional, rate)
            if order.side == BUY:
                charge = min(charge, freed - notional)
                self.post(order.account, order.sub, market.quote, FREE, -notional - charge)
                self.post(order.account, order.sub, market.base, FREE, lots * market.lot_size)
            else:
                self.post(order.account, order.sub, market.base, FREE, -lots * market.lot_size)
                self.post(order.account, order.sub, market.quote, FREE, notional - charge)
            fees[order.number] = charge
        maker.is_open = maker.remaining > 0
        self.split(market.quote, sum(fees.values()))
        self.fills.append(
            Fill(maker.number, taker.number, price, lots, fees[taker.number], fees[maker.number])
        )
        return False

    def split(self, asset: int, total: int) -> None:
        """P8.8: 15 % stakers, 5 % maker fund, 10 % insurance, each rounded down, the rest to the vault."""
        parts = {STAKERS: total * 15 // 100, MAKERS: total * 5 // 100, INSURANCE: total * 10 // 100}
        parts[VAULT] = total - sum(parts.values())
        for line, amount in parts.items():
            self.post(SYSTEM_ACCOUNT, 0, asset, line, amount)

    def find(self, account: int, number: int | None, key: bytes) -> Order:
        """By order number, or by client key when the number is None."""
        if number is None:
            same = [o for o in self.orders if o.is_open and (o.account, o.client_key) == (account, key)]
            # A key may be used again once its validity is over: the order of the live use comes first.
            known = self.keys.get((account, key))
            live = known[1] if known and known[2] >= self.now_ns else None
            same.sort(key=lambda order: (order.number != live, order.number))
            if any(key) and same:
                return same[0]
            raise Refused("ORDER_NOT_FOUND")
        if number >= len(self.orders):
            raise Refused("ORDER_NOT_FOUND")
        order = self.orders[number]
        if not order.is_open:
            raise Refused("ORDER_NOT_OPEN")
        if order.account != account:
            raise Refused("WRONG_OWNER")
        return order

    def cancel(self, account: int, number: int | None, key: bytes) -> int:
        order = self.find(account, number, key)
        self.end(order)
        return order.number

    def replace(self, account: int, number: int | None, key: bytes, price: int, total: int) -> int:
        old = self.find(account, number, key)
        filled = old.total - old.remaining
        price, total = price or old.price, total or old.total
        if total <= filled:
            raise Refused("REPLACE_BELOW_FILLED")
        new = replace(old, price=price, total=total, remaining=total - filled)
        self.check_form(new, 0)
        keeps = price == old.price and total <= old.total
        self.check_risk(new, old)
        if not keeps:
            self.check_execution(new)
        band = self.band(old.market, old.side)
        old.price, old.total, old.remaining = new.price, new.total, new.remaining
        self.secure_again(old)
        if not keeps:
            self.execute(old, band, new=False)
        return old.number

    def cancel_all(self, account: int, market: int, sub: int, side: int) -> None:
        if market != ALL_MARKETS and market >= len(self.markets):
            raise Refused("MARKET_NOT_FOUND")
        for order in self.orders:
            if (
                order.is_open
                and order.account == account
                and market in (ALL_MARKETS, order.market)
                and sub in (ALL, order.sub)
                and side in (ALL, order.side)
            ):
                self.end(order)

    # -- time ---------------------------------------------------------------------------------------------

    def set_cancel_all_after(self, account: int, window_s: int) -> None:
        if window_s and not 5 <= window_s <= 86_400:
            raise Refused("INVALID_SWITCH_WINDOW")
        self.switches.pop(account, None)
        if window_s:
            self.switches[account] = self.now_ns + window_s * SECOND_NS

    def tick(self) -> None:
        """Expired orders leave, fired switches clear their accounts."""
        for order in self.orders:
            if order.is_open and self.is_expired(order):
                self.end(order)
        for account, deadline_ns in list(self.switches.items()):
            if deadline_ns <= self.now_ns:
                del self.switches[account]
                self.cancel_all(account, ALL_MARKETS, ALL, ALL)
