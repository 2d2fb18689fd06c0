"""What is wrong between us and a venue, in one look: its state, our keys and nonces, the clocks, the limits.

Read from the venue's public calls and from the files of the keys, so that it works while the core is dead,
stuck, or holds the keys. Every part has its own deadline; what cannot be learnt is unknown and says why.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from tradewind.venues.limits import BinanceLimits, KrakenLimits
from tradewind.venues.limits.binance import BinanceState
from tradewind.venues.limits.kraken import KrakenState
from tradewind.venues.limits.store import elapsed_ns, read_saved, this_moment
from tradewind.venues.market_data import FeedError
from tradewind.venues.ping import VENUES, PingReport, ping
from tradewind.venues.transport.keys import KeyFolder, KeyRecord
from tradewind.venues.transport.nonce import NonceError, read_mark
from tradewind.venues.transport.quarantine import place_of
from tradewind.venues.transport.quarantine import read as read_quarantine

PART_S: Final = 6.0
"""Longest time of any part; all run together, so the whole stays below ten seconds."""
SKEW_MS: Final = 500.0
"""Above this difference of the clocks no new risk is sent (T10.5)."""
BAD_STATUS: Final = "the venue says "
Result = TypeVar("Result")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One line. `value` None: not known, and `why` says why not. `wrong`: it has to be looked after."""

    name: str
    value: Any = None
    why: str = ""
    wrong: bool = False


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """The whole look."""

    venue: str
    took_s: float
    parts: list[Part]

    @property
    def unknown(self) -> list[str]:
        """Names of what could not be learnt."""
        return [one.name for one in self.parts if one.value is None]

    @property
    def wrong(self) -> list[str]:
        """Names of what has to be looked after."""
        return [one.name for one in self.parts if one.wrong]


async def diagnose(name: str, data: Path, url: str | None = None, part_s: float = PART_S) -> Diagnosis:
    """Looks at a venue (kraken or binance) and at our keys of it below a data directory.

    Raises:
        KeyError: no such venue.
    """
    if name not in VENUES:
        raise KeyError(name)
    begin_s = time.monotonic()
    outside, inside = await asyncio.gather(
        _within(part_s, _outside(name, url)),
        _within(part_s, asyncio.to_thread(_inside, name, data)),
    )
    if isinstance(outside, str):
        outside = [Part(name="venue status", why=outside), Part(name="clock skew", why=outside)]
    if isinstance(inside, str):
        inside = [Part(name="keys", why=inside)]
    return Diagnosis(venue=name, took_s=time.monotonic() - begin_s, parts=[*outside, *inside])


async def _within(seconds: float, work: Awaitable[Result]) -> Result | str:
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        return f"no answer within {seconds:g} s"
    except (FeedError, OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"[:200]


async def _outside(name: str, url: str | None) -> list[Part]:
    report = await ping(name, url)
    return [_status(report), _skew(report)]


def _status(report: PingReport) -> Part:
    well = report.status in {"online", "normal", "answers"}
    value = {"says": report.status, "round_trip_ms": report.median_round_trip_ms, "url": report.url}
    why = "" if well else BAD_STATUS + report.status
    return Part(name="venue status", value=value, why=why, wrong=not well)


def _skew(report: PingReport) -> Part:
    low, high = report.offset_low_ms, report.offset_high_ms
    if low is None or high is None:
        return Part(name="clock skew", why="the samples contradict each other: a clock was set, or wanders")
    # The true difference lies between the bounds: it is surely too large only when both say so.
    wrong = low > SKEW_MS or high < -SKEW_MS
    value = {"venue_ahead_ms_low": low, "venue_ahead_ms_high": high}
    why = f"more than {SKEW_MS:g} ms: no new risk" if wrong else ""
    return Part(name="clock skew", value=value, why=why, wrong=wrong)


def _inside(name: str, data: Path) -> list[Part]:
    folder = KeyFolder(data)
    parts: list[Part] = []
    if not folder.folder.is_dir():
        return [Part(name="keys", why=f"no key was ever used below {data}")]
    for path in sorted(folder.folder.glob("*.key")):
        try:
            record = folder.record(path.stem)
        except NonceError as error:
            parts.append(Part(name=f"key {path.stem}", why=str(error), wrong=True))
            continue
        if record.venue == name:
            parts += [_key(folder, record), _nonce(folder, record), _limits(folder, record)]
    return parts or [Part(name="keys", why=f"no key of {name} is registered below {data}")]


def _key(folder: KeyFolder, record: KeyRecord) -> Part:
    row = folder.status(record.fingerprint)
    held = read_quarantine(place_of(folder.folder / f"{record.fingerprint}.lock"))
    value: dict[str, Any] = {
        "health": "quarantined" if held is not None else row["fault"] or "ok",
        "purpose": str(record.purpose),
        "label": record.label,
        "holder": row["holder"] or None,
    }
    if held is not None:
        value |= {"reason": held.reason, "since_ns": held.at_ns}
    fault = record.venue != "binance" and row["fault"]  # that venue counts no nonces, so it has no mark
    wrong = held is not None or bool(fault)
    if held is None and not fault:
        value["health"] = "ok"
    return Part(name=f"key {record.fingerprint}", value=value, wrong=wrong)


def _nonce(folder: KeyFolder, record: KeyRecord) -> Part:
    name = f"nonce {record.fingerprint}"
    if record.venue == "binance":
        return Part(name=name, value={"kind": "timestamp", "high_water": None})
    try:
        mark = read_mark(folder.folder / f"{record.fingerprint}.nonce")
    except NonceError as error:
        return Part(name=name, why=str(error), wrong=True)
    if mark is None:
        return Part(name=name, why="there is no mark", wrong=record.used)
    ahead_s = mark.high_water / mark.unit.per_s - time.time()
    return Part(
        name=name,
        value={
            "kind": str(mark.unit), "high_water": mark.high_water, "ahead_of_clock_s": round(ahead_s, 1),
            "epoch": mark.epoch,
        },
    )  # fmt: skip


def _model(path: Path, venue: str) -> tuple[KrakenLimits | BinanceLimits, int, int] | None:
    """The limits as saved, on their clock; its time now, and how long ago they were saved, in ns."""
    if venue == "kraken":
        kraken = read_saved(path, KrakenState)
        if kraken is None:
            return None
        now_ns, age_ns = time.monotonic_ns(), elapsed_ns(kraken[1], this_moment())
        counters = KrakenLimits(kraken[0].tier)
        counters.restore(kraken[0], now_ns, age_ns)
        return counters, now_ns, age_ns
    binance = read_saved(path, BinanceState)
    if binance is None:
        return None
    now_ns, age_ns = time.time_ns(), elapsed_ns(binance[1], this_moment())
    windows = BinanceLimits()
    windows.restore(binance[0], now_ns, age_ns)
    return windows, now_ns, age_ns


def _limits(folder: KeyFolder, record: KeyRecord) -> Part:
    """Counters as the last process left them, with the decay since."""
    name = f"limits {record.fingerprint}"
    path = folder.folder / f"{record.fingerprint}.limits"
    found = _model(path, record.venue)
    if found is None:
        return Part(name=name, why=f"no readable state in {path.name}")
    model, now_ns, age_ns = found
    block = model.block(now_ns)
    counters = {
        key: {"used": f"{used:.2f}", "of": maximum} for key, (used, maximum) in model.levels(now_ns).items()
    }
    value = {"saved_before_s": round(age_ns / 1e9, 1), "counters": counters, "blocked": block is not None}
    full = [key for key, (used, maximum) in model.levels(now_ns).items() if used >= maximum > 0]
    why = f"full: {', '.join(full)}" if full else ""
    why = why if block is None else f"blocked: {block.reason}"
    return Part(name=name, value=value, why=why, wrong=block is not None or bool(full))
