"""The arithmetic of leveraged trading, written from the specification with exact integers and fractions.

Money is micro-quote, sizes are lots, prices are ticks, fractions are ppm, fee rates 1e-6 bp (10^10 are the
whole), funding rates ppb. Every function names the clause it comes from. Nothing here knows the engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import isqrt

PPM = 10**6
PPB = 10**9
WHOLE_E6BP = 10**10
DOLLAR = 10**6
BP_PPB = 10**5
"""One basis point in ppb."""
MILLISECOND_NS = 10**6
SECOND_NS = 10**9
HOUR_NS = 3_600 * SECOND_NS

PREMIUM_WINDOW_NS = 150 * SECOND_NS
MARK_STEP_NS = 400 * MILLISECOND_NS
MARK_STEP_PPM = 20_000
SAMPLES_PER_HOUR, SAMPLES_NEEDED = 60, 15
FUNDING_INTEREST_PPB, FUNDING_CLAMP_PPB = BP_PPB, 5 * BP_PPB
HOURS_PER_FUNDING_RATE = 8
INDEX_SCALE = 10**9
"""The funding index counts micro per lot × 10^9 (P4.8.2)."""

TARGET_HEALTH = Fraction(11, 10)
SMALL_REMAINDER = 100 * DOLLAR
TRANCHE_NOTIONAL, TRANCHE_SHARE, TRANCHE_NS = 100_000 * DOLLAR, Fraction(1, 5), 30 * SECOND_NS
LIQUIDATION_FEE_E6BP = 50 * 10**6
LIQUIDATION_SLIPPAGE_PPM, CASCADE_SLIPPAGE_PPM = 25_000, 50_000
RATE_LOW_PPM, RATE_HIGH_PPM, RATE_FLOOR = 20_000, 80_000, 10_000 * DOLLAR
DEVIATION_WINDOW_NS = HOUR_NS
CASCADE_OF_DEPTH, CASCADE_OF_INTEREST, DEPTH_PPM = Fraction(1, 5), Fraction(33, 100), 20_000
REWARD_PPM, REWARD_LOW, REWARD_HIGH = 500, DOLLAR, 100 * DOLLAR

TIERS = ((1, 100), (2, 70), (4, 25), (8, 15), (16, 12), (64, 10), (65, 5))
LADDER = (
    (Fraction(2), 100),
    (Fraction(3, 2), 50),
    (Fraction(6, 5), 20),
    (Fraction(1), 10),
    (Fraction(1, 2), 1),
)


def floor_div(numerator: int, denominator: int) -> int:
    return numerator // denominator


def ceil_div(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


def ceil_of(value: Fraction) -> int:
    return ceil_div(value.numerator, value.denominator)


def floor_of(value: Fraction) -> int:
    return value.numerator // value.denominator


def isqrt_ceil(value: int) -> int:
    root = isqrt(value)
    return root if root * root == value else root + 1


def clamp(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


def unit_of(tick_size: int, lot_size: int) -> int:
    """P1.4.2: micro-quote of one tick times one lot; always whole and at least 1."""
    product = tick_size * lot_size
    if product % 10**6 or product < 10**6:
        raise ValueError("INVALID_TICK_LOT")
    return product // 10**6


def notional(price: int, lots: int, unit: int) -> int:
    return price * abs(lots) * unit


# -- margin (P4.2, P4.3, P4.5) ----------------------------------------------------------------------------


def size_term_ppm(value: int, size_k_ppm: int) -> int:
    """z: grows with the square root of the position's notional."""
    return ceil_div(size_k_ppm * isqrt_ceil(value), 1_000)


def initial_fraction_ppm(value: int, cap_e2: int, size_k_ppm: int) -> int:
    """`cap_e2`: the leverage cap of the moment in hundredths; below 1 the formulas use 1 (P4.5)."""
    return max(ceil_div(100 * PPM, max(cap_e2, 100)), size_term_ppm(value, size_k_ppm))


def maintenance_fraction_ppm(value: int, base_e2: int, size_k_ppm: int, floor_ppm: int) -> int:
    """`base_e2`: the static cap, so that falling coverage never moves maintenance."""
    entry = max(ceil_div(100 * PPM, max(base_e2, 100)), size_term_ppm(value, size_k_ppm))
    return max(floor_ppm, ceil_div(entry, 2))


def margin(value: int, fraction_ppm: int) -> int:
    return ceil_div(value * fraction_ppm, PPM)


def fee(value: int, rate_e6bp: int) -> int:
    """P8.5: rounded up once per fill."""
    return ceil_div(value * rate_e6bp, WHOLE_E6BP)


def tier(outcomes: int) -> int:
    return next(leverage for most, leverage in TIERS if outcomes <= most)


def leverage_cap_e2(
    outcomes: int, coverage: Fraction | None, market_maximum_e2: int = 10_000, stage_e2: int | None = None
) -> int:
    """P4.5 in hundredths. Coverage None is +∞: its two terms drop out."""
    terms = [100 * tier(outcomes), market_maximum_e2]
    if stage_e2 is not None:
        terms.append(stage_e2)
    if coverage is not None:
        # floor of 10^4·c/√N = the integer root of (10^4·c)²/N.
        terms.append(isqrt(floor_of((10_000 * coverage) ** 2 / outcomes)))
        terms.append(100 * next((leverage for least, leverage in LADDER if coverage >= least), 0))
    return min(terms)


def worst_case_margin_terms(
    lots: int, mark: int, unit: int, buys: tuple[int, int], sells: tuple[int, int]
) -> list[tuple[int, int]]:
    """P4.3, per side: (notional at mark on which IM is taken, loss of filling all of it at its limits).

    `buys` and `sells` are (lots, Σ price·lots·unit) of the open orders of a side. The side whose margin and
    loss together are larger decides: the larger position alone could have the smaller requirement.
    """
    buy_lots, buy_value = buys
    sell_lots, sell_value = sells
    return [
        (mark * abs(lots + buy_lots) * unit, max(0, buy_value - mark * buy_lots * unit)),
        (mark * abs(lots - sell_lots) * unit, max(0, mark * sell_lots * unit - sell_value)),
    ]


# -- collateral (P1.4.5, P4.1) ----------------------------------------------------------------------------


def asset_value(amount: int, price: int, asset_bp: int, liability_bp: int, cap: int = 0) -> int:
    """Weighted micro-quote of a balance; `price` in micro-quote per whole unit, rounded against the user.

    `cap`: micro-units that one sub-account may count, 0 = none.
    """
    if amount < 0:
        return -ceil_div(-amount * price * liability_bp, 10**6 * 10_000)
    counted = min(amount, cap) if cap else amount
    return floor_div(counted * price * asset_bp, 10**6 * 10_000)


def stable_price(index: int) -> int:
    """A stable asset is worth its index, and never more than one (P1.4.5)."""
    return min(10**6, index)


# -- positions (P1.5.6, P4.1) -----------------------------------------------------------------------------


def unrealised(lots: int, cost: int, mark: int, unit: int) -> int:
    return lots * mark * unit - cost


def apply_fill(lots: int, cost: int, delta: int, price: int, unit: int) -> tuple[int, int, int]:
    """(lots, cost, realised) after buying `delta` lots (negative: selling) at `price`.

    The average share of cost that leaves with a reduction is rounded so that what is realised is rounded
    down; a fill beyond zero closes first and opens the rest.
    """
    if lots == 0 or (lots > 0) == (delta > 0):
        return lots + delta, cost + delta * price * unit, 0
    closing = -lots if abs(delta) >= abs(lots) else delta
    # `closing` has the sign of the trade: closing a long sells, so that it pays in −closing·price·unit.
    share = ceil_div(cost * -closing, lots)
    realised = -closing * price * unit - share
    lots, cost, rest = lots + closing, cost - share, delta - closing
    return lots + rest, cost + rest * price * unit, realised


# -- liquidation price (P4.4) -----------------------------------------------------------------------------


def liquidation_price(lots: int, cost: int, collateral: int, unit: int, mmf_ppm: int) -> Fraction:
    """Isolated, in ticks, exact."""
    keep = Fraction(PPM - mmf_ppm, PPM) if lots > 0 else Fraction(PPM + mmf_ppm, PPM)
    return Fraction(cost - collateral, lots * unit) / keep


def published_liquidation_price(lots: int, cost: int, collateral: int, unit: int, mmf_ppm: int) -> int:
    """Rounded toward the earlier liquidation: up for a long, down for a short; not below 0."""
    exact = liquidation_price(lots, cost, collateral, unit, mmf_ppm)
    return max(0, ceil_of(exact) if lots > 0 else floor_of(exact))


def bankruptcy_price(lots: int, equity: int, mark: int, unit: int) -> Fraction:
    """In ticks, exact: the price at which the sub-account's equity is spent."""
    return mark - Fraction(equity, lots * unit)


# -- mark (P4.7) ------------------------------------------------------------------------------------------


def round_half_down(value: Fraction) -> int:
    """Nearest integer, ties down."""
    return ceil_of(value - Fraction(1, 2))


def median(values: Iterable[Fraction | int]) -> Fraction | None:
    rows = sorted(Fraction(value) for value in values)
    if not rows:
        return None
    middle = len(rows) // 2
    return rows[middle] if len(rows) % 2 else (rows[middle - 1] + rows[middle]) / 2


def median_ticks(values: Iterable[Fraction | int]) -> int | None:
    value = median(values)
    return None if value is None else round_half_down(value)


def premium_step_e6(premium_e6: int, sample_e6: int, elapsed_ns: int) -> int:
    """EMA with a time constant of 150 s, in 1e-6 ticks: ema += (x − ema)·dt/(τ + dt), toward zero."""
    move = (sample_e6 - premium_e6) * elapsed_ns
    whole = PREMIUM_WINDOW_NS + elapsed_ns
    return premium_e6 + (abs(move) // whole) * (1 if move >= 0 else -1)


def wanted_mark(index: int | None, premium_e6: int, book: Iterable[int]) -> int | None:
    """Median of index, index + premium, median of (bid, ask, last); a missing term drops out.

    Only the result is rounded, to the nearest tick, ties down. The premium begins at 0.
    """
    terms: list[Fraction | int] = []
    if index is not None:
        terms += [index, max(Fraction(1), index + Fraction(premium_e6, PPM))]
    inner = median(book)
    if inner is not None:
        terms.append(inner)
    return median_ticks(terms)


def clamped_mark(previous: int, wanted: int, elapsed_ns: int) -> int:
    """At most 2 % of the previous mark per 400 ms in which it was on its way."""
    most = previous * MARK_STEP_PPM * elapsed_ns // (PPM * MARK_STEP_NS)
    return clamp(wanted, max(1, previous - most), previous + most)


# -- funding (P4.8) ---------------------------------------------------------------------------------------


def impact_price(levels: Sequence[tuple[int, int]], value: int, unit: int) -> int | None:
    """Average price of trading `value` micro-quote through (price, lots) levels, best first, in 1e-6 ticks.

    Whole lots: the last one may exceed the value. None when the side holds less: there is no such price.
    """
    left, lots, spent = value, 0, 0
    for price, size in levels:
        take = min(size, ceil_div(left, price * unit))
        lots, spent, left = lots + take, spent + take * price, left - take * price * unit
        if left <= 0:
            return spent * PPM // lots
    return None


def toward_zero(numerator: int, denominator: int) -> int:
    """Division that treats both directions alike: longs and shorts see the same rate."""
    return abs(numerator) // denominator * (1 if numerator >= 0 else -1)


def premium_sample_ppb(bid_impact_e6: int, ask_impact_e6: int, index: int) -> int:
    """Impact prices in 1e-6 ticks, index in ticks; at most the whole index."""
    index_e6 = index * PPM
    premium = max(0, bid_impact_e6 - index_e6) - max(0, index_e6 - ask_impact_e6)
    return clamp(toward_zero(premium * PPB, index_e6), -PPB, PPB)


def hourly_rate_ppb(samples: Sequence[int], base_e2: int, floor_mmf_ppm: int) -> int:
    """The hour's rate; 0 with too few samples."""
    if len(samples) < SAMPLES_NEEDED:
        return 0
    return hourly_rate_of_premium_ppb(toward_zero(sum(samples), len(samples)), base_e2, floor_mmf_ppm)


def hourly_rate_of_premium_ppb(premium_ppb: int, base_e2: int, floor_mmf_ppm: int) -> int:
    """An eighth of F₈ₕ, which is within 0.75·(1/l_base − mmf) at size 0, fractions in ppm."""
    rate = premium_ppb + clamp(FUNDING_INTEREST_PPB - premium_ppb, -FUNDING_CLAMP_PPB, FUNDING_CLAMP_PPB)
    entry_ppm = initial_fraction_ppm(0, base_e2, 0)
    mmf_ppm = maintenance_fraction_ppm(0, base_e2, 0, floor_mmf_ppm)
    most = (entry_ppm - mmf_ppm) * 1_000 * 3 // 4
    return toward_zero(clamp(rate, -most, most), HOURS_PER_FUNDING_RATE)


def funding_delta(rate_ppb: int, index: int, unit: int) -> int:
    return rate_ppb * index * unit


def funding_owed(lots: int, entry: int, now: int) -> int:
    """Micro-quote the position pays (negative: receives): payer up, receiver down is up in both signs."""
    return ceil_div(lots * (now - entry), INDEX_SCALE)


# -- liquidation (P5) -------------------------------------------------------------------------------------


def liquidation_fee_e6bp(configured_e6bp: int, mmf_ppm: int) -> int:
    """f = min(50 bp, mmf/2); 1 ppm is 10^4 of 1e-6 bp."""
    return min(configured_e6bp, mmf_ppm * 10**4 // 2)


def step_lots(
    lots: int, mark: int, unit: int, equity: int, maintenance: int, mmf_ppm: int, fee_e6bp: int
) -> int:
    """P5.2: the least lots that bring E/MM to 1.1; all when that cannot work or leaves crumbs."""
    size = abs(lots)
    per_lot = mark * unit * (TARGET_HEALTH * Fraction(mmf_ppm, PPM) - Fraction(fee_e6bp, WHOLE_E6BP))
    if per_lot <= 0:
        return size
    wanted = clamp(ceil_of((TARGET_HEALTH * maintenance - equity) / per_lot), 0, size)
    return size if (size - wanted) * mark * unit < SMALL_REMAINDER else wanted


def is_liquidatable(equity: int, maintenance: int) -> bool:
    """P5.1: equality is healthy."""
    return equity < maintenance


def needs_tranches(value: int, equity: int, maintenance: int) -> bool:
    """P5.3."""
    return value > TRANCHE_NOTIONAL and 3 * equity >= 2 * maintenance


def rate_limit(deviation_ppm: int, open_interest: int) -> int:
    """P5.4: micro-quote that may be sold in a market per second; `open_interest` in micro-quote."""
    share = clamp(deviation_ppm, RATE_LOW_PPM, RATE_HIGH_PPM)
    return max(RATE_FLOOR, floor_div(open_interest * share, PPM))


def deviation_step(mean_e6: int, variance: int, mark: int, elapsed_ns: int) -> tuple[int, int]:
    """P5.4: mean (1e-6 ticks) and variance (ppm²) of the mark, of relative moves, with a window of an hour.

    An exponential average weighs what comes with α = dt/(τ + dt): mean += α·d, and the variance becomes
    (1 − α)·(variance + α·d²). Every quotient is rounded toward zero.
    """
    whole, away = DEVIATION_WINDOW_NS + elapsed_ns, mark * PPM - mean_e6
    relative_ppm = clamp(toward_zero(away * PPM, mean_e6), -10 * PPM, 10 * PPM)
    grown = variance + relative_ppm * toward_zero(relative_ppm * elapsed_ns, whole)
    variance = toward_zero(grown * DEVIATION_WINDOW_NS, whole)
    return mean_e6 + toward_zero(away * elapsed_ns, whole), variance


def is_cascade(pending: int, depth: int, open_interest: int) -> bool:
    """P5.9, all in micro-quote: above 20 % of the depth within ±2 %, or above 33 % of open interest."""
    return pending > CASCADE_OF_DEPTH * depth or pending > CASCADE_OF_INTEREST * open_interest


def execution_limit(
    lots: int,
    mark: int,
    bankruptcy: Fraction,
    allowed_loss: int | None = None,
    size: int = 0,
    unit: int = 1,
    *,
    band_ppm: int = LIQUIDATION_SLIPPAGE_PPM,
) -> int:
    """P5.5: never beyond bankruptcy, never further than 2.5 % (the band) from mark; whole ticks inward.

    `allowed_loss`: what a step of `size` lots that does not close the position may lose in micro so that
    E/MM still rises (P5.10).
    """
    away = min(Fraction(mark * band_ppm, PPM), abs(mark - bankruptcy))
    if allowed_loss is not None:
        away = min(away, Fraction(max(0, allowed_loss), size * unit))
    reach = floor_of(away)
    return max(1, mark - reach) if lots > 0 else mark + reach


def ratio_keeping_loss(equity: int, maintenance: int, maintenance_after: int) -> int:
    """The largest whole loss of equity with which E/MM strictly rises when MM falls (P5.10)."""
    relief = max(0, maintenance - maintenance_after)
    return floor_of(Fraction(max(0, equity) * relief, max(1, maintenance))) - 1


def liquidation_fee(value: int, fee_e6bp: int, equity_after: int) -> int:
    """P5.7: never takes the sub-account below zero."""
    return min(fee(value, fee_e6bp), max(0, equity_after))


def keeper_reward(value: int, collected_fee: int) -> int:
    reward = clamp(value * REWARD_PPM // PPM, REWARD_LOW, REWARD_HIGH)
    return min(reward, collected_fee // 2)


def fee_shares(collected_fee: int, reward: int) -> tuple[int, int]:
    """(liquidation_fees pool, insurance) of what the keeper leaves; the odd micro goes to insurance."""
    rest = collected_fee - reward
    return rest // 2, rest - rest // 2


def adl_score_ppm(profit: int, cost: int, value: int, equity: int) -> int | None:
    """P5.8; None: skipped."""
    if equity <= 0:
        return None
    gain = Fraction(profit, max(1, abs(cost)))
    leverage = Fraction(value, equity)
    if profit > 0:
        return floor_of(gain * leverage * PPM)
    return floor_of(gain / leverage * PPM) if value else None


def adl_order(rows: Sequence[tuple[int, int, int]]) -> list[int]:
    """Ids of (id, score, notional): score descending, then larger notional, then lower id."""
    return [row[0] for row in sorted(rows, key=lambda row: (-row[1], -row[2], row[0]))]


def socialised(loss: int, profits: Sequence[int]) -> list[int]:
    """Shares of a loss pro rata to positive profits, at most those; the k-th prefix is rounded down once."""
    gains = [max(0, profit) for profit in profits]
    total = sum(gains)
    taken = min(loss, total)
    shares, before, running = [], 0, 0
    for gain in gains:
        running += gain
        upto = taken * running // total if total else 0
        shares.append(upto - before)
        before = upto
    return shares


# -- index (P6.1) -----------------------------------------------------------------------------------------


def weighted_median(rows: Sequence[tuple[int, int]]) -> int:
    """Of (value, weight); at an exact half the mean of the two middles, rounded down."""
    ordered = sorted(rows)
    total = sum(weight for _, weight in ordered)
    running = 0
    for place, (value, weight) in enumerate(ordered):
        running += weight
        if 2 * running == total:
            return (value + ordered[place + 1][0]) // 2
        if 2 * running > total:
            return value
    raise ValueError("no weights")


def feed_confidence(rows: Sequence[tuple[int, int, int]], index: int) -> int:
    """Of (value, weight, confidence): max(1.4826·MAD, weighted median of confidences), MAD from the index."""
    spread = floor_of(median(abs(value - index) for value, _, _ in rows) or Fraction(0))
    stated = weighted_median([(confidence, weight) for _, weight, confidence in rows])
    return max(ceil_div(spread * 14_826, 10_000), stated)
