"""The cost report: one row for each parent and each single order, from their records alone (T13.8)."""

from __future__ import annotations

import json
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import msgspec

from ..execution.book import MARK_MINUTES, Parent, adverse
from ..execution.records import ChildFilled, Mark, MarkAfter, Scale
from . import model as cost_model
from .facts import CostFacts, Single
from .shortfall import Executed, Shortfall, bps, fee_in_quote, shortfall

PCT_STEP = Decimal("0.01")
MS_NS = 1_000_000


class CostRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one parent or single order cost. Money is in the quote asset, positive is bad; bps are of the
    value at the arrival mid of the filled (shortfall: of the whole) quantity. None: not known.
    """

    id: str
    algorithm: str
    symbol: str
    side: str
    state: str
    strategy: str
    quantity: Decimal
    filled: Decimal
    arrival_mid: Decimal
    average_price: Decimal | None
    interval_vwap: Decimal | None
    against_vwap_bps: Decimal | None
    decision_delay_ms: int | None
    shortfall: Shortfall | None
    shortfall_bps: Decimal | None
    participation_pct: Decimal | None
    passive_pct: Decimal | None
    reversion_bps: dict[str, Decimal | None]
    expected_bps: Decimal | None
    realised_bps: Decimal | None
    residual_bps: Decimal | None
    model_version: int
    children: int
    inferred_fills: int


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """The cost model that is in force, and what the residuals since its last move say of it."""

    version: int
    offset_bps: Decimal
    residuals: int
    needed: int
    mean_bps: Decimal | None
    half_width_bps: Decimal | None
    moves: int


class CostReport(msgspec.Struct, frozen=True, kw_only=True):
    """The whole report."""

    parents: list[CostRow]
    singles: list[CostRow]
    model: ModelRow


def report(facts: CostFacts, *, parent: int | None = None) -> CostReport:
    """The report of all, or of one parent. The same records give the same bytes."""
    chosen = [one for one in facts.book.parents.values() if parent in {None, one.number}]
    singles = [] if parent is not None else list(facts.singles.values())
    judgement = cost_model.judge(facts.book.residuals_bps)
    return CostReport(
        parents=[parent_row(facts, one) for one in chosen],
        singles=[single_row(facts, one) for one in singles],
        model=ModelRow(
            version=facts.book.model_version,
            offset_bps=facts.book.model_offset_bps,
            residuals=len(facts.book.residuals_bps),
            needed=cost_model.WINDOW,
            mean_bps=None if judgement is None else judgement.mean_bps,
            half_width_bps=None if judgement is None else judgement.half_width_bps,
            moves=len(facts.updates),
        ),
    )


def parent_row(facts: CostFacts, parent: Parent) -> CostRow:
    """One parent. The shortfall of one that has not ended is not known yet: its opportunity is open."""
    opened, scale = parent.opened, parent.opened.scale
    children = facts.children.get(parent.number, [])
    marks = {child.client_id: child.mark for child in children}
    fills = facts.fills.get(parent.number, [])
    executed = [Executed(fill, marks.get(fill.client_id, opened.arrival)) for fill in fills]
    ended = parent.ended
    total = None
    if ended is not None:
        total = shortfall(
            executed,
            side=opened.side,
            lots=opened.lots,
            arrival=opened.arrival,
            end=ended.mark,
            scale=scale,
        )
    external = Decimal(parent.external_lots) / scale.volume_ratio
    vwap = None
    if parent.external_lots:
        vwap = (scale.tick * parent.external_value / parent.external_lots).quantize(price_step(scale))
    realised = _realised_bps(fills, opened.arrival, scale, adverse(opened.side))
    average = _average(fills, scale)
    return CostRow(
        id=str(parent.number),
        algorithm=opened.algorithm,
        symbol=opened.symbol,
        side=opened.side.name.lower(),
        state=str(parent.state),
        strategy=opened.strategy,
        quantity=scale.lot * opened.lots,
        filled=scale.lot * parent.filled_lots,
        arrival_mid=scale.tick * opened.arrival.mid_ticks,
        average_price=average,
        interval_vwap=vwap,
        against_vwap_bps=_against(average, vwap, adverse(opened.side)),
        decision_delay_ms=(children[0].at_ns - opened.decision_ns) // MS_NS if children else None,
        shortfall=total,
        shortfall_bps=None
        if total is None
        else bps(total.total, scale.tick * scale.lot * opened.lots * opened.arrival.mid_ticks),
        participation_pct=_share(Decimal(parent.filled_lots), parent.filled_lots + external),
        passive_pct=_share(Decimal(parent.maker_lots), Decimal(parent.filled_lots)),
        reversion_bps=_reversion(
            facts.after.get(f"{parent.number}/", {}),
            None if ended is None else ended.mark,
            adverse(opened.side),
        ),
        expected_bps=opened.expected_bps,
        realised_bps=realised,
        residual_bps=None if realised is None else realised - opened.expected_bps,
        model_version=opened.model_version,
        children=parent.children_count,
        inferred_fills=sum(fill.trade_id.startswith("syn-") for fill in fills),
    )


def single_row(facts: CostFacts, single: Single) -> CostRow:
    """One single order: its delay is 0, since it was sent at its decision."""
    opened, scale, fills = single.opened, single.opened.scale, single.fills
    sign = adverse(opened.side)
    filled = sum(fill.lots for fill in fills)
    last = next((fill.mark for fill in reversed(fills) if fill.mark is not None), opened.mark)
    total = None
    if single.ended is not None:
        total = shortfall(
            [Executed(fill, opened.mark) for fill in fills],
            side=opened.side,
            lots=opened.lots,
            arrival=opened.mark,
            end=last,
            scale=scale,
        )
    makers = sum(fill.lots for fill in fills if fill.maker)
    first_ns = fills[0].at_ns if fills else None
    return CostRow(
        id=opened.client_id,
        algorithm="single",
        symbol=opened.symbol,
        side=opened.side.name.lower(),
        state="open" if single.ended is None else single.ended.state,
        strategy=opened.strategy,
        quantity=scale.lot * opened.lots,
        filled=scale.lot * filled,
        arrival_mid=scale.tick * opened.mark.mid_ticks,
        average_price=_average(fills, scale),
        interval_vwap=None,
        against_vwap_bps=None,
        decision_delay_ms=None if first_ns is None else max(0, first_ns - opened.decision_ns) // MS_NS,
        shortfall=total,
        shortfall_bps=None
        if total is None
        else bps(total.total, scale.tick * scale.lot * opened.lots * opened.mark.mid_ticks),
        participation_pct=None,
        passive_pct=_share(Decimal(makers), Decimal(filled)),
        reversion_bps=_reversion(facts.after.get(f"0/{opened.client_id}", {}), last, sign),
        expected_bps=None,
        realised_bps=_realised_bps(fills, opened.mark, scale, sign),
        residual_bps=None,
        model_version=0,
        children=0,
        inferred_fills=sum(fill.trade_id.startswith("syn-") for fill in fills),
    )


def _average(fills: list[ChildFilled], scale: Scale) -> Decimal | None:
    lots = sum(fill.lots for fill in fills)
    if not lots:
        return None
    value = sum(fill.price_ticks * fill.lots for fill in fills)
    return (scale.tick * value / lots).quantize(price_step(scale), ROUND_HALF_EVEN)


def price_step(scale: Scale) -> Decimal:
    """Averages are told to a hundredth of a tick."""
    return scale.tick / 100


def _realised_bps(fills: list[ChildFilled], arrival: Mark, scale: Scale, sign: int) -> Decimal | None:
    """Cost of what was filled against the arrival mid, fees included."""
    lots = sum(fill.lots for fill in fills)
    value = arrival.mid_ticks * lots
    drift = (sum(fill.price_ticks * fill.lots for fill in fills) - value) * sign
    fees = sum((fee_in_quote(fill, scale) for fill in fills), Decimal(0)) / (scale.tick * scale.lot)
    return bps(drift + fees, value)


def _against(average: Decimal | None, vwap: Decimal | None, sign: int) -> Decimal | None:
    return None if average is None or vwap is None else bps((average - vwap) * sign, vwap)


def _share(part: Decimal, whole: Decimal) -> Decimal | None:
    return (part * 100 / whole).quantize(PCT_STEP) if whole else None


def _reversion(after: dict[int, MarkAfter], end: Mark | None, sign: int) -> dict[str, Decimal | None]:
    """How far the mid came back after the end: positive when the price had been pushed."""
    found: dict[str, Decimal | None] = {}
    for minutes in MARK_MINUTES:
        look = after.get(minutes)
        if look is None or look.mark is None or end is None:
            found[f"{minutes}m"] = None
        else:
            back = (end.mid_ticks - look.mark.mid_ticks) * sign
            found[f"{minutes}m"] = bps(back, end.mid_ticks)
    return found


def plain(document: CostReport | CostRow | ModelRow) -> dict[str, Any]:
    """As built-in types; decimals as plain text, without exponents."""
    built: dict[str, Any] = msgspec.to_builtins(document, builtin_types=(Decimal,))
    texts: dict[str, Any] = _texts(built)
    return texts


def _texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _texts(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_texts(inner) for inner in value]
    if isinstance(value, Decimal):
        return format(value if value else Decimal(0), "f")
    return value


def encode(document: CostReport) -> bytes:
    """The report as JSON; the same report gives the same bytes."""
    return json.dumps(plain(document), indent=1).encode() + b"\n"


__all__ = ["CostReport", "CostRow", "ModelRow", "encode", "parent_row", "plain", "report", "single_row"]
