"""Whether a parent may begin: every check before the first child, and the record that begins it."""

from __future__ import annotations

import hashlib
from decimal import ROUND_CEILING, Decimal
from typing import Final

import msgspec

from ..risk.check import Denied
from ..strategy import PlaceIntent
from ..tca.model import expected_bps
from . import algorithms
from .algorithms import Market
from .book import MAX_OPEN_PARENTS, Book, Parent, far_ticks
from .curve import VolumeCurve
from .errors import ExecutionRefused, NoVolumeCurve, Refusal
from .model import ALGORITHM_VERSION, Algorithm, ExecuteIntent, resolve
from .port import MarketView
from .records import CurvePoint, Mark, ParentOpened, Scale, Terms
from .tape import Tape

SECOND_NS: Final = 1_000_000_000
DISPLAY_PCT: Final = 5
DISPLAY_MINIMA: Final = 2
REACH_FACTOR: Final = 2
"""A schedule is refused as unreachable when the volume of the last minutes would have to grow by more."""
REACH_WINDOW_NS: Final = 300 * SECOND_NS
PER_ORDER_CODES: Final = frozenset(
    {
        "OrderQtyLimit",
        "OrderNotionalLimit",
        "AboveMaxQuantity",
        "AboveMaxNotional",
        "Participation",
        "MessageRate",
        "RepeatThrottle",
        "OpenOrders",
        "WideSpread",
        "SelfMatch",
        "DecisionTooOld",
        "UnresolvedOrder",
        "CostGate",
        "SizeAfterLoss",
    }
)
"""Denials that concern one order and not the whole parent: each child meets them by itself."""


def body_hash(intent: ExecuteIntent) -> str:
    """What an idempotency key stands for."""
    return hashlib.blake2b(msgspec.json.encode(intent), digest_size=8).hexdigest()


def opened(
    intent: ExecuteIntent,
    *,
    book: Book,
    view: MarketView,
    tape: Tape,
    curve: VolumeCurve | None,
    strategy: str,
    actor: str,
    reason: str,
    client_key: str,
) -> ParentOpened:
    """The record of a new parent. Raises `ExecutionRefused`; nothing was changed then."""
    terms, duration_s = resolve(intent)
    scale = view.scale(intent.symbol)
    if scale is None:
        raise ExecutionRefused(Refusal.UNKNOWN_SYMBOL, f"nothing trades {intent.symbol}", given=intent.symbol)
    if len(book.open_parents()) >= MAX_OPEN_PARENTS:
        raise ExecutionRefused(
            Refusal.TOO_MANY_PARENTS, "too many parents are open", bound=str(MAX_OPEN_PARENTS)
        )
    market = view.market(intent.symbol, strategy)
    mark = _live(intent, market)
    now_ns = market.now_ns
    end_ns = now_ns + duration_s * SECOND_NS
    points = _curve_points(intent, curve, now_ns, end_ns, scale)
    number = book.next_parent
    used = curve if points else None
    record = ParentOpened(
        parent=number,
        version=ALGORITHM_VERSION,
        algorithm=str(intent.algorithm),
        symbol=intent.symbol,
        side=intent.side,
        lots=intent.lots,
        limit_ticks=intent.limit_ticks,
        start_ns=now_ns,
        end_ns=end_ns,
        terms=terms,
        completion=str(intent.completion),
        completion_bps=intent.completion_bps,
        max_cost_bps=intent.max_cost_bps,
        seed=_seed(number, now_ns) if intent.seed is None else intent.seed,
        strategy=strategy,
        actor=actor,
        reason=reason,
        client_key=client_key,
        body_hash=body_hash(intent),
        scale=scale,
        arrival=mark,
        decision_ns=now_ns,
        curve=points,
        curve_hash="" if used is None else used.hash,
        expected_bps=Decimal(0),
        model_version=book.model_version,
    )
    record = _sized(record, mark)
    _check_state(record, market)
    _check_reach(record, tape, now_ns)
    _check_risk(view, record)
    return msgspec.structs.replace(record, expected_bps=_expected(record, book, view, tape, now_ns))


def _live(intent: ExecuteIntent, market: Market) -> Mark:
    """The arrival mark. Raises `ExecutionRefused` without a live book, or beyond the limit."""
    if market.mark is None or market.book != "live":
        raise ExecutionRefused(
            Refusal.MARKET_NOT_LIVE, f"the book of {intent.symbol} is {market.book}: there is no arrival mid"
        )
    beyond = intent.limit_ticks is not None and intent.algorithm is not Algorithm.ICEBERG
    if beyond and intent.limit_ticks is not None:
        distance = (market.mark.mid_ticks - intent.limit_ticks) * (1 if intent.side == 0 else -1)
        if distance > 0:
            raise ExecutionRefused(
                Refusal.LIMIT_BEYOND_MARKET,
                "the mid is beyond the limit already",
                given=str(intent.limit_ticks),
                bound=str(market.mark.mid_ticks),
            )
    return market.mark


def _curve_points(
    intent: ExecuteIntent, curve: VolumeCurve | None, start_ns: int, end_ns: int, scale: Scale
) -> list[CurvePoint]:
    if intent.algorithm is not Algorithm.VWAP:
        return []
    if curve is None:
        raise NoVolumeCurve(
            f"there is no volume curve of {intent.symbol}; build one: tradewind execute curve build"
        )
    if curve.symbol != intent.symbol:
        raise NoVolumeCurve(f"the curve is of {curve.symbol}, not of {intent.symbol}")
    points = curve.points(start_ns, end_ns, scale.lot / scale.volume_ratio)
    if not any(point.expected_lots for point in points):
        raise NoVolumeCurve("the curve expects no volume at all in this time")
    return points


def _sized(record: ParentOpened, mark: Mark) -> ParentOpened:
    """With the display of an iceberg. Raises `ExecutionRefused` for what is too small to be worked."""
    parent = Parent(opened=record)
    price = far_ticks(record.side, mark)
    minimum, least = parent.minimum_lots(price), parent.venue_minimum_lots(price)
    if record.lots < minimum:
        raise ExecutionRefused(
            Refusal.PARENT_TOO_SMALL,
            f"{record.lots} lots; the least child has {minimum}",
            given=str(record.lots),
            bound=str(minimum),
            nearest=str(minimum),
        )
    if record.algorithm == Algorithm.TWAP:
        _check_slices(record, minimum)
    if record.algorithm != Algorithm.ICEBERG:
        return record
    share = (Decimal(record.lots * DISPLAY_PCT) / 100).to_integral_value(ROUND_CEILING)
    floor = min(record.lots, max(DISPLAY_MINIMA * least, minimum, int(share)))
    display = record.terms.display_lots or floor
    if display < floor:
        raise ExecutionRefused(
            Refusal.DISPLAY_TOO_SMALL,
            f"a display of {display} lots; at least {floor} must show",
            given=str(display),
            bound=str(floor),
            nearest=str(floor),
        )
    terms: Terms = msgspec.structs.replace(record.terms, display_lots=min(display, record.lots))
    return msgspec.structs.replace(record, terms=terms)


def _check_slices(record: ParentOpened, minimum: int) -> None:
    """Every slice of a TWAP must be worth a child."""
    duration_s = (record.end_ns - record.start_ns) // SECOND_NS
    count = max(1, duration_s // record.terms.interval_s)
    if record.lots // count >= minimum:
        return
    interval_s = -(-duration_s // (record.lots // minimum))
    advice = f"{interval_s} s" if interval_s <= 300 else f"{count * minimum} lots"
    raise ExecutionRefused(
        Refusal.SLICE_TOO_SMALL,
        f"{count} slices of {record.lots // count} lots; the least child has {minimum}",
        given=str(record.lots // count),
        bound=str(minimum),
        nearest=advice,
    )


def _check_state(record: ParentOpened, market: Market) -> None:
    if market.state != "normal" and not (market.state == "reduce_only" and market.reducing):
        raise ExecutionRefused(Refusal.STATE_NOT_NORMAL, f"the trading state is {market.state}")


def _check_reach(record: ParentOpened, tape: Tape, now_ns: int) -> None:
    """Refuses what the cap makes impossible at the volume of the last five minutes, where that is known."""
    share = record.terms.participation_pct
    if share is None or tape.covered_ns(now_ns) < REACH_WINDOW_NS:
        return
    seen = tape.within(now_ns, REACH_WINDOW_NS) // record.scale.volume_ratio
    duration_ns = record.end_ns - record.start_ns
    reachable = int(share / (100 - share) * seen * duration_ns / REACH_WINDOW_NS * REACH_FACTOR)
    if record.lots > reachable:
        raise ExecutionRefused(
            Refusal.SCHEDULE_UNREACHABLE,
            f"{share} % of {REACH_FACTOR} times the volume of the last 5 min are {reachable} lots",
            given=str(record.lots),
            bound=str(reachable),
            nearest=str(reachable),
        )


def _check_risk(view: MarketView, record: ParentOpened) -> None:
    """The whole quantity against the limits that concern the position."""
    price = algorithms.price_ticks(Parent(opened=record), record.arrival, "cross")
    whole = PlaceIntent(
        symbol=record.symbol, side=record.side, price_ticks=price, lots=record.lots, post_only=False
    )
    denied = [one for one in view.denials(record.strategy, whole) if one.code not in PER_ORDER_CODES]
    if denied:
        raise ExecutionRefused(
            Refusal.RISK_DENIED,
            "; ".join(denial_text(one) for one in denied),
            codes=tuple(str(one.code) for one in denied),
        )


def denial_text(one: Denied) -> str:
    """`PositionNotional: 590 against 500 (L05)`."""
    known = one.given is not None and one.bound is not None
    values = f"{one.given:f} against {one.bound:f} " if known else ""
    return f"{one.code}: {values}{one.detail} ({one.limit})".replace("  ", " ")


def _expected(record: ParentOpened, book: Book, view: MarketView, tape: Tape, now_ns: int) -> Decimal:
    """Expected cost by the model that is in force."""
    share = record.terms.participation_pct or Decimal(10)
    covered_ns = min(tape.covered_ns(now_ns), REACH_WINDOW_NS)
    participation = share / 100
    if covered_ns >= REACH_WINDOW_NS:
        seen = tape.within(now_ns, REACH_WINDOW_NS) // record.scale.volume_ratio
        coming = seen * (record.end_ns - record.start_ns) // REACH_WINDOW_NS
        participation = Decimal(record.lots) / (record.lots + coming)
    maker_bps, taker_bps = view.fee_bps(record.symbol)
    arrival = record.arrival
    return expected_bps(
        record.algorithm,
        spread_bps=(arrival.ask_ticks - arrival.bid_ticks) * Decimal(10_000) / arrival.mid_ticks,
        participation=participation,
        maker_bps=maker_bps,
        taker_bps=taker_bps,
        offset_bps=book.model_offset_bps,
    )


def _seed(number: int, now_ns: int) -> int:
    digest = hashlib.blake2b(f"{number}/{now_ns}".encode(), digest_size=6).digest()
    return int.from_bytes(digest, "big")
