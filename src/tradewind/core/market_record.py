"""The 520-byte outcome-market record by its published layout (protocol P1.6), and the number behind it.

Written from the field table alone, apart from the engine's own code: two readers that agree say more than
one. Files of records are read with `read_records`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tradewind.core.native import market_record_decode, market_record_encode, number_record_decode
from tradewind.core.records import field_tables, record_sizes

RECORD_BYTES: Final = 520
NUMBER_BYTES: Final = 128
BASE, OVERFLOW, NUMBER = "OutcomeMarketRecord", "OutcomeOverflowRecord", "DistributionClaimRecord"
BASE_OUTCOMES: Final = 8
OVERFLOW_OUTCOMES: Final = 28
MAX_OUTCOMES: Final = 64
MAX_LINKS: Final = 11
BASE_TAG, OVERFLOW_TAG, NUMBER_TAG, VERSION = 0x08, 0x09, 0x1B, 1
NUMBER_MARK: Final = bytes([NUMBER_TAG])
MAX_FILE_BYTES: Final = 65_536 * 3 * RECORD_BYTES
"""Most markets of a deployment, three records each."""

Field = tuple[str, int, str]
"""Name, byte offset, format of `struct` without byte order."""

BASE_LAYOUT: Final[tuple[Field, ...]] = (
    ("tag", 0, "B"),
    ("version", 1, "B"),
    ("length", 2, "H"),
    ("header_flags", 4, "I"),
    ("market_id", 8, "32s"),
    ("condition_id", 40, "32s"),
    ("verse_id", 72, "32s"),
    ("prices", 104, "8Q"),
    ("volumes", 168, "8Q"),
    ("liquidity", 232, "Q"),
    ("settle_time_ns", 240, "q"),
    ("resolution_time_ns", 248, "q"),
    ("attestation", 256, "64s"),
    ("liquidation_accumulator", 320, "Q"),
    ("links", 328, "QqQqQqQqQqQqQqQqQqQqQq"),
    ("links_used", 504, "B"),
    ("winner", 505, "B"),
    ("outcome_count", 506, "B"),
    ("amm_kind", 507, "B"),
    ("status", 508, "B"),
    ("pause_level", 509, "B"),
    ("halt_reasons", 510, "H"),
    ("overflow_count", 512, "B"),
    ("reserved", 513, "3s"),
    ("links_total", 516, "H"),
    ("crc16", 518, "H"),
)
OVERFLOW_LAYOUT: Final[tuple[Field, ...]] = (
    ("tag", 0, "B"),
    ("version", 1, "B"),
    ("length", 2, "H"),
    ("header_flags", 4, "I"),
    ("market_id", 8, "32s"),
    ("prices", 40, "28Q"),
    ("volumes", 264, "28Q"),
    ("index", 488, "B"),
    ("used", 489, "B"),
    ("reserved", 490, "28s"),
    ("crc16", 518, "H"),
)
NUMBER_LAYOUT: Final[tuple[Field, ...]] = (
    ("tag", 0, "B"),
    ("version", 1, "B"),
    ("length", 2, "H"),
    ("header_flags", 4, "I"),
    ("market_id", 8, "32s"),
    ("lower", 40, "q"),
    ("upper", 48, "q"),
    ("norm", 56, "q"),
    ("backing", 64, "q"),
    ("fees", 72, "q"),
    ("mean", 80, "q"),
    ("sigma", 88, "q"),
    ("value", 96, "q"),
    ("invalid", 104, "B"),
    ("reserved", 105, "21s"),
    ("crc16", 126, "H"),
)


def layout_size(layout: Sequence[Field]) -> int:
    """Bytes of a layout's fields, one behind the other."""
    return sum(struct.calcsize("<" + form) for _, _, form in layout)


def check_layout(name: str, layout: Sequence[Field], size: int = RECORD_BYTES) -> None:
    """
    Raises:
        ImportError: the layout here is not the engine's, field by field, or not `size` bytes.
    """
    ours = [(field, offset, struct.calcsize("<" + form)) for field, offset, form in layout]
    ends = [offset + size for _, offset, size in ours]
    begins = [offset for _, offset, _ in ours]
    native = [(field, offset) for field, offset, _ in field_tables()[name]]
    if begins != [0, *ends[:-1]] or ends[-1] != size or record_sizes()[name] != size:
        raise ImportError(f"{name} is not {size} bytes without gaps")
    if [(field, offset) for field, offset, _ in ours] != native:
        raise ImportError(f"the layout of {name} is not the engine's")


check_layout(BASE, BASE_LAYOUT)
check_layout(OVERFLOW, OVERFLOW_LAYOUT)
check_layout(NUMBER, NUMBER_LAYOUT, NUMBER_BYTES)


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE, bit by bit (P1.6.3)."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ (0x1021 if crc & 0x8000 else 0)
        crc &= 0xFFFF
    return crc


def pack(layout: Sequence[Field], fields: Mapping[str, Any]) -> bytes:
    """One record by its layout, with the checksum of what stands before it.

    Raises:
        struct.error: a value that does not fit its field. KeyError: a field is missing.
    """
    parts = []
    for name, _, form in layout[:-1]:
        value = fields[name]
        values = value if isinstance(value, (list, tuple)) else (value,)
        parts.append(struct.pack("<" + form, *values))
    body = b"".join(parts)
    return body + struct.pack("<H", crc16(body))


def encode_by_layout(
    market: Mapping[str, Any],
    base: Sequence[Field] = BASE_LAYOUT,
    overflow: Sequence[Field] = OVERFLOW_LAYOUT,
) -> bytes:
    """The records of a market in the dictionary form of `native.market_record_encode`, by the layout alone.

    Raises:
        struct.error: a value that does not fit. KeyError: a field is missing.
    """
    prices, volumes, links = list(market["prices"]), list(market["volumes"]), list(market["links"])
    flat = [number for link in links for number in link]
    header = {"tag": BASE_TAG, "version": VERSION, "length": RECORD_BYTES}
    more = range(BASE_OUTCOMES, len(prices), OVERFLOW_OUTCOMES)
    base_fields = {
        **market,
        **header,
        "prices": _filled(prices[:BASE_OUTCOMES], BASE_OUTCOMES),
        "volumes": _filled(volumes[:BASE_OUTCOMES], BASE_OUTCOMES),
        "attestation": market["evidence_hash"] + market["resolution_id"],
        "links": _filled(flat, 2 * MAX_LINKS),
        "links_used": len(links),
        "outcome_count": len(prices),
        "overflow_count": len(more),
        "reserved": b"",
    }
    records = [pack(base, base_fields)]
    for index, start in enumerate(more, 1):
        part = slice(start, start + OVERFLOW_OUTCOMES)
        fields = {
            **header,
            "tag": OVERFLOW_TAG,
            "header_flags": 0,
            "market_id": market["market_id"],
            "prices": _filled(prices[part], OVERFLOW_OUTCOMES),
            "volumes": _filled(volumes[part], OVERFLOW_OUTCOMES),
            "index": index,
            "used": len(prices[part]),
            "reserved": b"",
        }
        records.append(pack(overflow, fields))
    return b"".join(records)


def encode_number_by_layout(number: Mapping[str, Any]) -> bytes:
    """The record of a number by the layout alone; `value` None is a question without an answer.

    Raises:
        struct.error: a value that does not fit. KeyError: a field is missing.
    """
    value = number["value"]
    header = {"tag": NUMBER_TAG, "version": VERSION, "length": NUMBER_BYTES, "header_flags": 0}
    rest = {"value": 0 if value is None else value, "invalid": int(value is None), "reserved": b""}
    return pack(NUMBER_LAYOUT, {**number, **header, **rest})


def _filled(values: list[int], places: int) -> list[int]:
    return values + [0] * (places - len(values))


def read_records(data: bytes) -> Iterator[dict[str, Any]]:
    """The markets of an archive file, one after the other; that of a number has its fields in `number`.

    Raises:
        TradewindError: `INVALID_RECORD_LENGTH`, `CHECKSUM_MISMATCH` and so on; what `number_record_decode`
            raises for a number that is not its market's.
    """
    place = 0
    count_at = next(offset for name, offset, _ in BASE_LAYOUT if name == "overflow_count")
    while place < len(data):
        behind = data[place + count_at] if place + count_at < len(data) else 0
        size = RECORD_BYTES * (1 + behind)
        records = data[place : place + size]
        market = market_record_decode(records)
        place += size
        if data[place : place + 1] == NUMBER_MARK:
            market["number"] = number_record_decode(data[place : place + NUMBER_BYTES], records)
            place += NUMBER_BYTES
        yield market


__all__ = [
    "encode_by_layout",
    "encode_number_by_layout",
    "market_record_decode",
    "market_record_encode",
    "number_record_decode",
    "read_records",
]
