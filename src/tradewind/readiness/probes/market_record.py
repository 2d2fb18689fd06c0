"""markets-record-520-bytes: two readers of one layout agree on every byte, and no damage goes unseen."""

from __future__ import annotations

import random
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tradewind.core.errors import TradewindError
from tradewind.core.market_record import (
    BASE_LAYOUT,
    MAX_LINKS,
    MAX_OUTCOMES,
    RECORD_BYTES,
    Field,
    encode_by_layout,
    layout_size,
)
from tradewind.core.native import market_record_decode, market_record_encode
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.record import MeasuredValue

SEED: Final = 520
ROUND_TRIPS_EACH: Final = 5
HALT_BITS: Final = 0x807F
U64, I64 = (1 << 64) - 1, (1 << 63) - 1


def _market(rng: random.Random, outcomes: int, edge: int | None) -> dict[str, Any]:
    """A market of random values, or with every number at its smallest (0) or largest (1)."""

    def number(low: int, high: int) -> int:
        return rng.randint(low, high) if edge is None else (low, high)[edge]

    links = [(number(0, U64), number(-I64 - 1, I64)) for _ in range(number(0, MAX_LINKS))]
    return {
        **{name: rng.randbytes(32) for name in ("market_id", "condition_id", "verse_id")},
        **{name: rng.randbytes(32) for name in ("evidence_hash", "resolution_id")},
        "header_flags": number(0, (1 << 32) - 1),
        "prices": [number(0, U64) for _ in range(outcomes)],
        "volumes": [number(0, U64) for _ in range(outcomes)],
        "liquidity": number(0, U64),
        "settle_time_ns": number(-I64 - 1, I64),
        "resolution_time_ns": number(-I64 - 1, I64),
        "liquidation_accumulator": number(0, U64),
        "links": links,
        "links_total": number(len(links), (1 << 16) - 1),
        "winner": rng.choice([0, outcomes - 1, 0xFE, 0xFF]),
        "amm_kind": number(0, 4),
        "status": number(0, 7),
        "pause_level": number(0, 3),
        "halt_reasons": number(0, (1 << 16) - 1) & HALT_BITS,
    }


def _same(market: Mapping[str, Any], layout: Sequence[Field]) -> bool:
    """Written by the layout, written by the engine and read back: one and the same."""
    try:
        by_layout = encode_by_layout(market, layout)
        return by_layout == market_record_encode(dict(market)) and market_record_decode(by_layout) == market
    except (TradewindError, struct.error):
        return False


def _undetected(records: bytes, whole: Mapping[str, Any]) -> int:
    """How many changes of one byte the reader takes for a market."""
    unseen = 0
    damaged = bytearray(records)
    for place, byte in enumerate(records):
        for value in range(256):
            if value == byte:
                continue
            damaged[place] = value
            try:
                market_record_decode(bytes(damaged))
                unseen += 1
            except TradewindError:
                pass
        damaged[place] = byte
    if market_record_decode(bytes(damaged)) != whole:
        unseen += 1
    return unseen


def _observe(context: ProbeContext, layout: Sequence[Field] = BASE_LAYOUT) -> Facts:
    rng = random.Random(SEED)  # noqa: S311 the same records in every run
    markets = [
        _market(rng, outcomes, edge)
        for outcomes in range(2, MAX_OUTCOMES + 1)
        for edge in (0, 1, *[None] * ROUND_TRIPS_EACH)
    ]
    largest = markets[-1]
    records = market_record_encode(largest)
    return {
        "record_size": layout_size(layout),
        "sizes": sorted({len(market_record_encode(market)) for market in markets}),
        "round_trips": len(markets),
        "round_trip_failures": sum(not _same(market, layout) for market in markets),
        "corruptions": len(records) * 255,
        "undetected": _undetected(records, largest),
    }


def _with_longer_field(context: ProbeContext) -> Facts:
    """The attestation is one byte longer; everything behind it moves."""
    return _observe(
        context,
        tuple((name, at, "65s" if name == "attestation" else form) for name, at, form in BASE_LAYOUT),
    )


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    whole = all(size % RECORD_BYTES == 0 for size in facts["sizes"])
    size = facts["record_size"] if whole else max(facts["sizes"])
    return {
        "record_size": MeasuredValue(size, "bytes", facts["round_trips"]),
        "round_trip_failures": count(facts["round_trip_failures"], facts["round_trips"]),
        "undetected_single_byte_corruptions": count(facts["undetected"], facts["corruptions"]),
    }


record_520 = drill(
    "markets-record-520-bytes", observe=_observe, broken=_with_longer_field, summarise=_summarise
)
