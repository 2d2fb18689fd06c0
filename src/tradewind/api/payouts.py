"""Payout vectors as people write them.

2                        outcome 2 pays everything
invalid                  every outcome pays the same
0+3+4                    these outcomes share equally (a dead heat)
0=250000,2=750000        explicit parts in ppm, at most six, together 1,000,000
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tradewind.api.problems import ApiFailure
from tradewind.node.projections.resolution import WHOLE_PPM, equal_shares

SHARED, VECTOR, INVALID = 0xFC, 0xFD, 0xFE
PACKED_BYTES: Final = 24
MAX_PARTS: Final = 6
MAX_OUTCOMES: Final = 64


def payout_fields(text: str) -> dict[str, int | bytes]:
    """Fields `choice`, `entries` and `packed` of a command; the engine judges what the market allows.

    Raises:
        ApiFailure: INVALID_PAYOUT_VECTOR for text that is no vector.
    """
    plain = text.strip().lower()
    if plain == "invalid":
        return {"choice": INVALID, "entries": 0, "packed": bytes(PACKED_BYTES)}
    if "=" in plain:
        parts = sorted(_part(part) for part in plain.split(","))
        if len(parts) > MAX_PARTS:
            raise _no_vector(f"{len(parts)} explicit parts; a command carries at most {MAX_PARTS}")
        packed = b"".join(bytes([outcome]) + ppm.to_bytes(3, "little") for outcome, ppm in parts)
        return {"choice": VECTOR, "entries": len(parts), "packed": packed.ljust(PACKED_BYTES, b"\0")}
    members = [_outcome(part) for part in plain.split("+")]
    if len(members) == 1:
        return {"choice": members[0], "entries": 0, "packed": bytes(PACKED_BYTES)}
    mask = sum(1 << outcome for outcome in set(members))
    return {"choice": SHARED, "entries": 0, "packed": mask.to_bytes(PACKED_BYTES, "little")}


def _part(text: str) -> tuple[int, int]:
    outcome, _, ppm = text.partition("=")
    if not ppm.strip().isdecimal() or int(ppm) > WHOLE_PPM:
        raise _no_vector(f"{ppm.strip()!r} is no part of 1,000,000 ppm")
    return _outcome(outcome), int(ppm)


def _outcome(text: str) -> int:
    plain = text.strip()
    if not plain.isdecimal() or int(plain) >= MAX_OUTCOMES:
        raise _no_vector(f"{plain!r} is no outcome; write 2, invalid, 0+3 or 0=250000,2=750000")
    return int(plain)


def _no_vector(detail: str) -> ApiFailure:
    return ApiFailure(422, "INVALID_PAYOUT_VECTOR", detail, code=3507)


def payout_text(ppm: Sequence[int]) -> str:
    """The shortest way to write a vector."""
    if not ppm:
        return ""
    paying = [outcome for outcome, part in enumerate(ppm) if part]
    if len(paying) == 1:
        return str(paying[0])
    if list(ppm) == equal_shares(list(range(len(ppm))), len(ppm)):
        return "invalid"
    if list(ppm) == equal_shares(paying, len(ppm)):
        return "+".join(str(outcome) for outcome in paying)
    return ",".join(f"{outcome}={ppm[outcome]}" for outcome in paying)
