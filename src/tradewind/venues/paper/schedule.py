"""Named, dated fee schedules (T15.4). A schedule is a file that somebody chose, never a number in
the code.
"""

from __future__ import annotations

import datetime
import tomllib
from decimal import Decimal, InvalidOperation
from pathlib import Path

import msgspec

from ..protocol import FeeSchedule

SCHEDULE_DIR = Path(__file__).parent / "schedules"
MAX_FEE_BPS = Decimal(100)
E6BP_PER_BPS = 1_000_000
NEVER_CHECKED = "never"
"""`checked_on` of figures that nobody has compared with the venue yet; consoles show it as it is."""


class ScheduleError(ValueError):
    """A fee schedule that is missing, incomplete, unknown in a field, or free without the venue saying so."""

    code = "ScheduleError"


class _File(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: str
    venue: str
    maker_bps: str
    taker_bps: str
    source: str
    checked_on: str
    venue_states_zero_fee: bool
    note: str = ""


def schedule_names() -> list[str]:
    """Names of the schedules which ship with the program."""
    return sorted(path.stem for path in SCHEDULE_DIR.glob("*.toml"))


def load_schedule(name_or_path: str | Path) -> FeeSchedule:
    """The schedule with this name, or from this file. Raises `ScheduleError` with the reason."""
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = SCHEDULE_DIR / f"{name_or_path}.toml"
    try:
        content = tomllib.loads(path.read_text())
        file = msgspec.convert(content, _File)
        if file.checked_on != NEVER_CHECKED:
            datetime.date.fromisoformat(file.checked_on)
    except FileNotFoundError:
        raise ScheduleError(
            f"no fee schedule {str(name_or_path)!r}; there are {', '.join(schedule_names())}"
        ) from None
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, ValueError, UnicodeDecodeError) as error:
        raise ScheduleError(f"{path.name}: {error}") from error
    if not file.source.strip():
        raise ScheduleError(f"{path.name}: the source of the fees must be named")
    return FeeSchedule(
        name=file.name,
        maker_bps=_fee(path, "maker_bps", file.maker_bps, file.venue_states_zero_fee),
        taker_bps=_fee(path, "taker_bps", file.taker_bps, file.venue_states_zero_fee),
        source=file.source,
        checked_on=file.checked_on,
    )


def _fee(path: Path, field: str, text: str, zero_allowed: bool) -> Decimal:
    try:
        fee = Decimal(text)
    except InvalidOperation:
        raise ScheduleError(f"{path.name}: {field} {text!r} is not a number") from None
    if not fee.is_finite() or fee < 0 or fee > MAX_FEE_BPS:
        raise ScheduleError(f"{path.name}: {field} {text} bps is outside 0..{MAX_FEE_BPS}")
    if fee == 0 and not zero_allowed:
        raise ScheduleError(f"{path.name}: {field} is zero, and the venue's schedule does not say so")
    if (fee * E6BP_PER_BPS) % 1:
        raise ScheduleError(f"{path.name}: {field} {text} bps is finer than 1e-6 bps")
    return fee


def fee_e6bp(fee_bps: Decimal) -> int:
    """A fee in the engine's unit, 1e-6 basis points."""
    return int(fee_bps * E6BP_PER_BPS)
