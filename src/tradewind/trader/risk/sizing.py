"""How much a strategy may order (T12): the least of all caps, times all multipliers, down to whole lots.

Pure and exact. A size is never raised to meet a venue's minimum, never by a streak of wins, and anything that
is not known gives no size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_FLOOR, Decimal
from enum import StrEnum
from math import sqrt

import msgspec

from tradewind.venues.market_data import Instrument, Known, Side

from .facts import Facts
from .model import ZERO, Order, Snapshot
from .profile import Limits

ONE = Decimal(1)
DEPTH_SHARE = Decimal("0.5")
MIN_STOP_TICKS = 2
MIN_STOP_BPS = Decimal(5)
KELLY_SHARE = Decimal("0.25")
KELLY_TRADES = 200
MAX_KELLY = 1e6
Z_LOWER = 1.959964
"""Of the lower end of the 95 % interval."""


class SizeCode(StrEnum):
    """Why there is no size."""

    TOO_SMALL = "SizeTooSmall"
    UNKNOWN = "SizeUnknown"
    STOP_TOO_TIGHT = "StopTooTight"
    AVERAGING_DOWN = "AveragingDown"


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """A size with everything it came from. `lots` is 0 when `code` says why; `caps` are notionals in quote
    units by limit before the multipliers, `bound_by` names the least.
    """

    lots: int
    notional: Decimal
    caps: dict[str, Decimal]
    bound_by: str
    multiplier: Decimal
    code: str = ""
    detail: str = ""

    @property
    def reason(self) -> str:
        """Why there is no size; empty when there is one."""
        return f"{self.code}: {self.detail}" if self.code else ""


class SizeInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What a size is worked out from, beside the order and its snapshot.

    `depth_quote`: notional displayed on the other side within the collar; `strategy_cap_quote`: what is left
    of the strategy's own budget; `kelly`: fraction of equity by `kelly_fraction`, when the strategy chose it.
    None says that it is not known, except for `strategy_cap_quote` and `kelly`: there is none.
    """

    instrument: Instrument
    depth_quote: Decimal | None
    average_price: Decimal | None = None
    averages_down: bool = False
    strategy_cap_quote: Decimal | None = None
    kelly: Decimal | None = None
    multipliers: Mapping[str, Decimal] = {}


def size(order: Order, snapshot: Snapshot, limits: Limits, inputs: SizeInputs) -> Size:
    """Lots of an entry at `order.price` with its stop at `order.stop` (T12.1). The order's own quantity is
    not looked at. Raises `ValueError` for a multiplier outside (0, 1].
    """
    for name, factor in inputs.multipliers.items():
        if not 0 < factor <= 1:
            raise ValueError(f"multiplier {name} is {factor}, it must be above 0 and at most 1")
    unknown = _unknown(order, snapshot, inputs)
    if unknown:
        return _none(SizeCode.UNKNOWN, unknown)
    facts = Facts(msgspec.structs.replace(order, quantity=ZERO), snapshot)
    problem = _tight_stop(facts, inputs) or _averaging_down(facts, inputs)
    if problem is not None:
        return problem
    try:
        caps = _caps(facts, limits, inputs)
    except ValueError as error:
        return _none(SizeCode.UNKNOWN, str(error))
    bound_by = min(caps, key=lambda name: caps[name])
    multiplier = ONE
    for factor in inputs.multipliers.values():
        multiplier *= factor
    return _in_lots(order, inputs.instrument, caps, bound_by, multiplier)


def _in_lots(
    order: Order, instrument: Instrument, caps: dict[str, Decimal], bound_by: str, multiplier: Decimal
) -> Size:
    wanted = max(ZERO, caps[bound_by]) * multiplier
    lots = int((wanted / (order.price * instrument.lot)).to_integral_value(ROUND_FLOOR))
    # A quotient of 28 digits may have been rounded up by its last one.
    while lots and lots * instrument.lot * order.price > wanted:
        lots -= 1
    quantity = lots * instrument.lot
    least = max(instrument.min_quantity or instrument.lot, (instrument.min_notional or ZERO) / order.price)
    found = Size(
        lots=lots, notional=quantity * order.price, caps=caps, bound_by=bound_by, multiplier=multiplier
    )
    if quantity < least or not lots:
        detail = f"{quantity} is below the least of {least:f}, bound by {bound_by}"
        return msgspec.structs.replace(found, lots=0, notional=ZERO, code=SizeCode.TOO_SMALL, detail=detail)
    return found


def _none(code: SizeCode, detail: str) -> Size:
    return Size(lots=0, notional=ZERO, caps={}, bound_by="", multiplier=ONE, code=code, detail=detail)


def _unknown(order: Order, snapshot: Snapshot, inputs: SizeInputs) -> str:
    """What is not known of all that a size needs."""
    volume = (snapshot.volumes or {}).get(order.symbol)
    checks = (
        ("the top of the book", isinstance(snapshot.tops.get(order.symbol), Known)),
        ("the equity", isinstance(snapshot.equity, Known) and snapshot.equity.value > 0),
        ("the balances", snapshot.balances_as_of_ns is not None),
        ("the fees", isinstance(snapshot.fees, Known)),
        ("the volume of five minutes", isinstance(volume, Known)),
        ("the depth within the collar", inputs.depth_quote is not None),
        ("the stop", order.stop is not None),
        ("the price", order.price > 0),
    )
    missing = [name for name, known in checks if not known]
    return f"{', '.join(missing)} not known" if missing else ""


def _tight_stop(facts: Facts, inputs: SizeInputs) -> Size | None:
    order, top = facts.order, facts.top
    assert order.stop is not None and top is not None
    sign = 1 if order.side is Side.BUY else -1
    distance = (order.price - order.stop) * sign
    least = max(
        MIN_STOP_TICKS * inputs.instrument.tick, top.ask - top.bid, order.price * MIN_STOP_BPS / 10_000
    )
    if distance >= least:
        return None
    return _none(SizeCode.STOP_TOO_TIGHT, f"the stop is {distance} away, at least {least} is needed")


def _averaging_down(facts: Facts, inputs: SizeInputs) -> Size | None:
    """T12.3: no adding to a losing position unless the strategy's contract says so."""
    order, average = facts.order, inputs.average_price
    sign = 1 if order.side is Side.BUY else -1
    adds = facts.position * sign > 0
    if inputs.averages_down or not adds or average is None or (order.price - average) * sign >= 0:
        return None
    return _none(SizeCode.AVERAGING_DOWN, f"{order.price} adds to a position that was entered at {average}")


def _caps(facts: Facts, limits: Limits, inputs: SizeInputs) -> dict[str, Decimal]:
    """Every cap as a notional in quote units; a negative one says that there is no room left."""
    order, snapshot, instrument = facts.order, facts.snapshot, inputs.instrument
    equity, price = facts.equity, order.price
    assert equity is not None and isinstance(snapshot.fees, Known) and snapshot.volumes is not None
    volume, taker = snapshot.volumes[order.symbol], snapshot.fees.value.taker_rate
    assert isinstance(volume, Known) and inputs.depth_quote is not None
    hundredth = facts.hundredth
    low, high = facts.worst[order.symbol]
    reached, other = (high, -low) if order.side is Side.BUY else (-low, high)
    net, other_net = _net(facts)
    caps = {
        "L01": limits.symbols[order.symbol].max_order_qty_base * price,
        "L02": limits.max_order_notional_quote,
        "L05": _room(limits.max_position_notional_pct * hundredth, reached, other),
        "L06": _risk_cap(facts, limits),
        "L07": limits.max_gross_exposure_pct * hundredth - facts.totals[0],
        "L08": _room(limits.max_net_exposure_pct * hundredth, net, other_net),
        "L17": limits.max_cluster_exposure_pct * hundredth - _cluster(facts),
        "L18": _factor_cap(facts, limits),
        "L22": limits.max_leverage_x100 * hundredth - facts.totals[0],
        "L23": limits.max_participation_pct / 100 * volume.value * price,
        "depth": inputs.depth_quote * DEPTH_SHARE,
        "free": _free(facts, taker),
    }
    if limits.max_position_notional_quote is not None:
        caps["L05.money"] = _room(limits.max_position_notional_quote / (1 + taker), reached, other)
    if limits.equity_cap_quote is not None:
        within = equity <= limits.equity_cap_quote
        caps["L28"] = limits.equity_cap_quote - facts.totals[0] if within else ZERO
    here = snapshot.venue_equity.get(order.venue, equity)
    if here > limits.max_venue_equity_pct * hundredth:
        caps["L25"] = ZERO
    if instrument.max_quantity is not None:
        caps["venue quantity"] = instrument.max_quantity * price
    if instrument.max_notional is not None:
        caps["venue notional"] = instrument.max_notional
    if inputs.strategy_cap_quote is not None:
        caps["strategy"] = inputs.strategy_cap_quote
    if inputs.kelly is not None:
        caps["kelly"] = inputs.kelly * equity
    return caps


def _risk_cap(facts: Facts, limits: Limits) -> Decimal:
    """What is left of L06 for this entry, as a notional at its stop distance."""
    order = facts.order
    assert order.stop is not None and facts.equity is not None
    sign = 1 if order.side is Side.BUY else -1
    budget = facts.equity * limits.max_risk_to_stop_bps / 10_000
    for other in facts.same_side:
        budget -= max(ZERO, (other.price - order.stop) * sign) * other.quantity
    held = facts.position * sign
    if held > 0 and facts.mid is not None:
        budget -= held * max(ZERO, (facts.mid - order.stop) * sign)
    return budget * order.price / ((order.price - order.stop) * sign)


def _room(bound: Decimal, reached: Decimal, other: Decimal) -> Decimal:
    """What is left up to a bound; nothing when the other direction is beyond it already."""
    return bound - reached if other <= bound else ZERO


def _net(facts: Facts) -> tuple[Decimal, Decimal]:
    """Net exposure at the worst case in the order's direction, and in the other one."""
    short = -sum((low for low, _ in facts.worst.values()), ZERO)
    long = sum((high for _, high in facts.worst.values()), ZERO)
    return (long, short) if facts.order.side is Side.BUY else (short, long)


def _cluster(facts: Facts) -> Decimal:
    groups = facts.snapshot.groups
    own = groups.cluster_of(facts.order.symbol)
    return sum(
        (max(-low, high) for name, (low, high) in facts.worst.items() if groups.cluster_of(name) == own),
        ZERO,
    )


def _factor_cap(facts: Facts, limits: Limits) -> Decimal:
    """Room of L18 in the order's direction, divided by its beta; a beta near zero leaves it to the others."""
    groups, order = facts.snapshot.groups, facts.order
    beta = groups.beta(order.symbol)
    down = up = ZERO
    for symbol, (low, high) in facts.worst.items():
        other = groups.beta(symbol)
        down -= (low if other >= 0 else high) * other
        up += (high if other >= 0 else low) * other
    bound = limits.max_beta_btc_pct * facts.hundredth
    rises = (order.side is Side.BUY) == (beta >= 0)
    room = _room(bound, up, down) if rises else _room(bound, down, up)
    return room / max(abs(beta), Decimal("0.01"))


def _free(facts: Facts, taker: Decimal) -> Decimal:
    order, available = facts.order, facts.snapshot.available
    if order.side is Side.BUY:
        return available.get(order.quote, ZERO) / (1 + taker)
    return available.get(order.base, ZERO) * order.price


def depth_within(
    levels: Sequence[tuple[Decimal, Decimal]], side: Side, mid: Decimal, collar_bps: Decimal
) -> Decimal:
    """Notional that an order of this side would meet up to the collar; `levels` are (price, quantity)."""
    span = mid * collar_bps / 10_000
    if side is Side.BUY:
        return sum((price * lots for price, lots in levels if price <= mid + span), ZERO)
    return sum((price * lots for price, lots in levels if price >= mid - span), ZERO)


def kelly_fraction(returns: Sequence[float]) -> Decimal | None:
    """A quarter of the Kelly fraction of the lower 95 % bound of the mean return per trade (T12.3); 0 for an
    edge that may be none, None with fewer than 200 trades. `returns` are parts of the notional, after costs.
    """
    count = len(returns)
    if count < KELLY_TRADES:
        return None
    mean = sum(returns) / count
    variance = sum((one - mean) ** 2 for one in returns) / (count - 1)
    if variance <= (mean * 1e-9) ** 2:
        return None
    lower = mean - Z_LOWER * sqrt(variance / count)
    if lower <= 0:
        return ZERO
    # Statistics may be floats; they come back to money rounded down.
    full = Decimal(repr(min(lower / variance, MAX_KELLY)))
    return (KELLY_SHARE * full).quantize(Decimal("0.0001"), rounding=ROUND_FLOOR)
