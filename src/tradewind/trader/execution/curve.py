"""The hour-of-week volume curve of VWAP (T13.4): 168 buckets, the median share of each over whole weeks.

A curve is built from an operator's own candles or trades; none is shipped, and no shape is ever invented.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from .errors import NoVolumeCurve
from .records import CurvePoint

HOUR_NS: Final = 3_600 * 1_000_000_000
BUCKETS: Final = 168
MIN_WEEKS: Final = 4
GOOD_WEEKS: Final = 8
"""Fewer weeks make a curve that says so in its `warning`."""
MAX_WEEKS: Final = 520
MIN_HOURS_OF_WEEK: Final = 160
"""A week with fewer hours of data is not used."""
MAX_CURVE_BYTES: Final = 1 << 20
MAX_EVENTS: Final = 366
MAX_CURVES: Final = 200
SHARE_STEP: Final = Decimal("0.000000001")
_SMOOTHING: Final = (Decimal("0.25"), Decimal("0.5"), Decimal("0.25"))
_TIME_COLUMNS: Final = ("open_time_ns", "time_ns")
_AMOUNT_COLUMNS: Final = ("volume", "quantity")


class VolumeCurve(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shares of a week's volume by hour of week (0 is Monday 00:00 UTC); they sum to 1.

    `week_volume`: median volume of a week, in base units. `events`: factors by hour for single days.
    """

    symbol: str
    weeks: int
    first_week: str
    last_week: str
    shares: tuple[Decimal, ...]
    week_volume: Decimal
    events: dict[str, tuple[Decimal, ...]] = {}
    warning: str = ""

    @property
    def hash(self) -> str:
        """Of its content; journaled with every parent that uses it."""
        return hashlib.blake2b(msgspec.json.encode(self, order="deterministic"), digest_size=16).hexdigest()

    def expected(self, start_ns: int) -> Decimal:
        """Base units expected in the hour that begins at `start_ns`, events included."""
        moment = datetime.fromtimestamp(start_ns // 1_000_000_000, UTC)
        volume = self.shares[moment.weekday() * 24 + moment.hour] * self.week_volume
        factors = self.events.get(f"{moment:%Y-%m-%d}")
        return volume if factors is None else volume * factors[moment.hour]

    def points(self, start_ns: int, end_ns: int, lot: Decimal) -> list[CurvePoint]:
        """The curve between two moments, in lots."""
        found, at_ns = [], start_ns
        while at_ns < end_ns:
            hour_ns = at_ns // HOUR_NS * HOUR_NS
            until_ns = min(hour_ns + HOUR_NS, end_ns)
            volume = self.expected(hour_ns) * (until_ns - at_ns) / HOUR_NS
            found.append(CurvePoint(at_ns, until_ns, int(volume / lot)))
            at_ns = until_ns
        return found


def hour_of_week(at_ns: int) -> tuple[str, int]:
    """The week (its Monday) and the bucket of a moment, in UTC: there is no daylight saving in it."""
    moment = datetime.fromtimestamp(at_ns // 1_000_000_000, UTC)
    monday = moment.date() - timedelta(days=moment.weekday())
    return f"{monday:%Y-%m-%d}", moment.weekday() * 24 + moment.hour


def build(
    symbol: str, hours: Mapping[tuple[str, int], Decimal], events: Mapping[str, Sequence[Decimal]]
) -> VolumeCurve:
    """The curve of volumes by (week, bucket). Raises `NoVolumeCurve` below four whole weeks."""
    weeks: dict[str, list[Decimal | None]] = {}
    for (week, bucket), volume in hours.items():
        weeks.setdefault(week, [None] * BUCKETS)[bucket] = volume
    whole = {
        week: [volume or Decimal(0) for volume in row]
        for week, row in sorted(weeks.items())
        if sum(volume is not None for volume in row) >= MIN_HOURS_OF_WEEK and any(row)
    }
    if len(whole) < MIN_WEEKS:
        raise NoVolumeCurve(
            f"{symbol}: {len(whole)} whole weeks of volume, a curve needs at least {MIN_WEEKS}"
        )
    totals = {week: sum(row, Decimal(0)) for week, row in whole.items()}
    medians = [median(row[bucket] / totals[week] for week, row in whole.items()) for bucket in range(BUCKETS)]
    names = list(whole)
    few = len(whole) < GOOD_WEEKS
    return VolumeCurve(
        symbol=symbol,
        weeks=len(whole),
        first_week=names[0],
        last_week=names[-1],
        shares=_normalise(_smooth(medians)),
        week_volume=median(totals.values()),
        events={day: _factors(day, factors) for day, factors in sorted(events.items())},
        warning=f"{len(whole)} weeks; {GOOD_WEEKS} or more are better" if few else "",
    )


def _smooth(values: Sequence[Decimal]) -> list[Decimal]:
    """Each bucket with its neighbours; the week is a ring."""
    return [
        sum(
            (values[(bucket + step - 1) % BUCKETS] * weight for step, weight in enumerate(_SMOOTHING)),
            Decimal(0),
        )
        for bucket in range(BUCKETS)
    ]


def _normalise(values: Sequence[Decimal]) -> tuple[Decimal, ...]:
    """Shares that sum to exactly 1: what rounding leaves goes to the greatest."""
    total = sum(values, Decimal(0))
    if total <= 0:
        raise NoVolumeCurve("no volume in any bucket")
    shares = [(value / total).quantize(SHARE_STEP) for value in values]
    shares[shares.index(max(shares))] += 1 - sum(shares, Decimal(0))
    return tuple(shares)


def _factors(day: str, factors: Sequence[Decimal]) -> tuple[Decimal, ...]:
    try:
        date.fromisoformat(day)
    except ValueError:
        raise NoVolumeCurve(f"event day {day!r} is not a date such as 2026-11-26") from None
    row = tuple(factors) * 24 if len(factors) == 1 else tuple(factors)
    if len(row) != 24 or any(not one.is_finite() or one < 0 for one in row):
        raise NoVolumeCurve(f"event day {day}: one factor or 24 of them, none negative")
    return row


def load(path: Path) -> VolumeCurve:
    """A curve from its file. Raises `NoVolumeCurve` for one that is missing, damaged or of too few weeks."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise NoVolumeCurve(f"no volume curve at {path}: {error.strerror}") from error
    if len(raw) > MAX_CURVE_BYTES:
        raise NoVolumeCurve(f"{path} has more than {MAX_CURVE_BYTES} bytes")
    try:
        curve = msgspec.json.decode(raw, type=VolumeCurve)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NoVolumeCurve(f"{path} is not a volume curve: {error}") from error
    check(curve)
    return curve


def load_folder(folder: Path) -> tuple[dict[str, VolumeCurve], list[str]]:
    """The curves of `folder`, by symbol, and what is wrong with files that are none. At most `MAX_CURVES`."""
    found: dict[str, VolumeCurve] = {}
    problems = []
    for path in sorted(folder.glob("*.json"))[:MAX_CURVES]:
        try:
            curve = load(path)
        except NoVolumeCurve as error:
            problems.append(str(error))
        else:
            found[curve.symbol] = curve
    return found, problems


def check(curve: VolumeCurve) -> None:
    """Raises `NoVolumeCurve` unless the curve has 168 shares, none negative, that sum to 1, of enough
    weeks.
    """
    shares = curve.shares
    if len(shares) != BUCKETS or any(not one.is_finite() or one < 0 for one in shares):
        raise NoVolumeCurve(f"{curve.symbol}: a curve has {BUCKETS} shares, none negative")
    if sum(shares, Decimal(0)) != 1:
        raise NoVolumeCurve(f"{curve.symbol}: the shares sum to {sum(shares, Decimal(0))}, not to 1")
    if curve.weeks < MIN_WEEKS or not curve.week_volume.is_finite() or curve.week_volume <= 0:
        raise NoVolumeCurve(f"{curve.symbol}: {curve.weeks} weeks and a volume of {curve.week_volume}")
    if len(curve.events) > MAX_EVENTS:
        raise NoVolumeCurve(f"{curve.symbol}: more than {MAX_EVENTS} event days")
    for day, factors in curve.events.items():
        _factors(day, factors)


def save(path: Path, curve: VolumeCurve) -> None:
    """Writes the file. Raises `OSError`."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(curve), indent=1) + b"\n")


def read_hours(
    paths: Iterable[Path], tell: Callable[[int, int], object] | None = None
) -> dict[tuple[str, int], Decimal]:
    """Volume by (week, bucket) of files of candles or trades, as `tradewind data fetch` writes them.

    An hour without a row is missing, not zero, in candles; in trades it is zero between the first and the
    last. Raises `NoVolumeCurve` naming file and line.
    """
    files = sorted(paths)
    hours: dict[tuple[str, int], Decimal] = {}
    for done, path in enumerate(files, 1):
        traded: list[int] = []
        for at_ns, amount, candle in _rows(path):
            key = hour_of_week(at_ns)
            hours[key] = hours.get(key, Decimal(0)) + amount
            if not candle:
                traded = [min(traded[0], at_ns), max(traded[1], at_ns)] if traded else [at_ns, at_ns]
        if traded:
            for hour in range(traded[0] // HOUR_NS, traded[1] // HOUR_NS + 1):
                hours.setdefault(hour_of_week(hour * HOUR_NS), Decimal(0))
        if len(hours) > MAX_WEEKS * BUCKETS:
            raise NoVolumeCurve(f"more than {MAX_WEEKS} weeks")
        if tell is not None:
            tell(done, len(files))
    return hours


def _rows(path: Path) -> Iterator[tuple[int, Decimal, bool]]:
    """(time, base volume, whether it is a candle) of one file."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as raw:
            reader = csv.DictReader(io.TextIOWrapper(raw, encoding="ascii", newline=""))
            names = reader.fieldnames or []
            time_name = next((name for name in _TIME_COLUMNS if name in names), None)
            amount_name = next((name for name in _AMOUNT_COLUMNS if name in names), None)
            if time_name is None or amount_name is None:
                raise NoVolumeCurve(f"{path}: no columns of candles or trades")
            for line, row in enumerate(reader, 2):
                yield (*_row(path, line, row[time_name], row[amount_name]), time_name == "open_time_ns")
    except (OSError, UnicodeDecodeError, EOFError, csv.Error) as error:
        raise NoVolumeCurve(f"{path} cannot be read: {error}") from error


def _row(path: Path, line: int, time_text: str | None, amount_text: str | None) -> tuple[int, Decimal]:
    try:
        at_ns, amount = int(time_text or ""), Decimal(amount_text or "")
    except (ValueError, InvalidOperation):
        raise NoVolumeCurve(f"{path} line {line}: not a time and a volume") from None
    if at_ns < 0 or at_ns >= 2**63 or not amount.is_finite() or amount < 0:
        raise NoVolumeCurve(f"{path} line {line}: {at_ns} ns, volume {amount}")
    return at_ns, amount
