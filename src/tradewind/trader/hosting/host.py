"""One hosted strategy: its callbacks are timed, bounded and checked; what it does wrong stays its own problem
(T14.2).
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Container
from decimal import Decimal
from time import perf_counter_ns
from typing import Any, Final

import msgspec

from ..strategy import Context, ContextSource, Manifest, Strategy, code_hash
from .answers import Nonsense, Owner, check_answer
from .memory import MemoryMeasure, held_by
from .watch import HARD_NS, WATCH, CallbackWatch

WARN_P99_NS: Final = 5_000_000
MIN_CALLBACKS: Final = 100
"""Fewer callbacks than this say nothing about a 99th percentile."""
BUCKET_SHIFT: Final = 12
BUCKETS: Final = 4_096
"""Callback times are counted in steps of 4.096 us up to 16.8 ms."""
MAX_NAME_CHARACTERS: Final = 40
MAX_SYMBOLS: Final = 64
MAX_BOOK_LEVELS: Final = 100
MAX_TIMER_MS: Final = 86_400_000
DATA_KINDS: Final = ("book", "trades", "bars")


class ManifestError(ValueError):
    """A strategy declares something that cannot be."""

    code = "ManifestError"


class Hosted(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy and how it is run here. `budget_pct`: the part of the account's equity that it may use.

    `name` replaces the manifest's, so that one class can run several times. `fresh` builds it again for a
    restart; without it a copy of the strategy as it was given is used.
    """

    strategy: Strategy
    name: str = ""
    budget_pct: Decimal = Decimal(100)
    fresh: Callable[[], Strategy] | None = None


class CallbackTimes(msgspec.Struct, frozen=True, kw_only=True):
    """How long callbacks took: of the last whole minute, and the longest ever."""

    count: int
    p99_us: float | None
    max_us: float


class StrategyHost:
    """Runs the callbacks of one strategy."""

    def __init__(
        self, hosted: Hosted, source: ContextSource, seed: int, *, watch: CallbackWatch = WATCH
    ) -> None:
        self.hosted = hosted
        self.strategy = hosted.strategy
        self.manifest: Manifest = hosted.strategy.manifest
        self.name = hosted.name or self.manifest.name
        self.budget_pct = hosted.budget_pct
        self.symbols = self.manifest.symbols
        self.book_levels = self.manifest.book_levels
        self.code_hash = code_hash(hosted.strategy)
        generator = random.Random(f"{seed}/{self.name}")  # noqa: S311 - reproducible, no secret
        self.context = Context(source, self.symbols[0] if self.symbols else "", generator)
        self.error: str | None = None
        """Why it is halted; None while it runs."""
        self.active = False
        """Whether callbacks are made."""
        self.fault: str | None = None
        """What the last callback did wrong, for the service to act on."""
        self.next_timer_ns = 0
        self.callbacks = 0
        self.intents = 0
        self.restarts = 0
        self.max_ns = 0
        self.minute_p99_ns: int | None = None
        self.slow_minutes = 0
        self.memory: MemoryMeasure | None = None
        self.owner: Owner = lambda client_id: None
        self.other_intents: Container[type] = ()
        self._seed = seed
        self._watch = watch
        self._times = [0] * BUCKETS
        self._pristine = copy.deepcopy(hosted.strategy) if hosted.fresh is None else None

    @property
    def timer_ns(self) -> int:
        """Period of its own timer."""
        return self.manifest.timer_ms * 1_000_000

    def run(self, callback: Callable[..., Any], symbol: str, *arguments: Any) -> list[Any] | tuple[()]:
        """The intents of one callback; empty when it is halted or has just failed (then `fault` says how)."""
        if not self.active:
            return ()
        watch, context = self._watch, self.context
        context.begin(symbol)
        watch.started_ns = started_ns = perf_counter_ns()
        try:
            try:
                answer = callback(context, *arguments)
            finally:
                watch.started_ns = 0
        except KeyboardInterrupt:
            watch.finish()
            raise
        except BaseException as error:  # noqa: BLE001 - T14.2: whatever a strategy raises stays its own problem
            interrupted = watch.finish()
            self.fault = "a callback was blocked for more than 100 ms" if interrupted else _words(error)
            return ()
        took_ns = perf_counter_ns() - started_ns
        self.callbacks += 1
        bucket = took_ns >> BUCKET_SHIFT
        self._times[bucket if bucket < BUCKETS else BUCKETS - 1] += 1
        self.max_ns = max(self.max_ns, took_ns)
        if took_ns > HARD_NS and not watch.interrupts and watch.overran(took_ns):
            self.fault = f"a callback ran for {took_ns // 1_000_000} ms, at most 100 are allowed"
            return ()
        if watch.interrupts:
            watch.finish()
            self.fault = "a callback was blocked for more than 100 ms"
            return ()
        if type(answer) is list and not answer:
            return answer
        return self._checked(answer)

    def _checked(self, answer: Any) -> list[Any] | tuple[()]:
        try:
            others = self.other_intents if self.manifest.executes else ()
            intents = check_answer(answer, self.symbols, self.name, self.owner, others)
        except Nonsense as error:
            self.fault = str(error)
            return ()
        self.intents += len(intents)
        return intents

    # ---- now and then ------------------------------------------------------------------------------

    def end_of_minute(self) -> str | None:
        """Judges the callback times of the last minute; the warning, if there is one to give."""
        count = sum(self._times)
        self.minute_p99_ns = _percentile_ns(self._times, count) if count else None
        self._times = [0] * BUCKETS
        if count < MIN_CALLBACKS or self.minute_p99_ns is None or self.minute_p99_ns <= WARN_P99_NS:
            return None
        self.slow_minutes += 1
        p99_ms = self.minute_p99_ns / 1e6
        return f"callbacks of {self.name} took {p99_ms:.1f} ms (p99 of {count}), at most 5 ms are meant"

    def measure_memory(self, cap_bytes: int) -> str | None:
        """Measures what it holds; the fault, if that is too much."""
        self.memory = held_by(self.strategy)
        if self.memory.held_bytes <= cap_bytes:
            return None
        return f"it holds about {self.memory.held_bytes >> 20} MB, {cap_bytes >> 20} MB are allowed"

    def times(self) -> CallbackTimes:
        """Callback times to show; before the first whole minute those of what there is of it."""
        p99_ns = self.minute_p99_ns
        if p99_ns is None and (count := sum(self._times)):
            p99_ns = _percentile_ns(self._times, count)
        return CallbackTimes(
            count=self.callbacks, p99_us=None if p99_ns is None else p99_ns / 1e3, max_us=self.max_ns / 1e3
        )

    def restart(self) -> None:
        """A fresh strategy in place of the halted one. Raises `ManifestError` when it declares other things
        than before, or cannot be built.
        """
        try:
            strategy = self.hosted.fresh() if self.hosted.fresh is not None else copy.deepcopy(self._pristine)
        except Exception as error:
            raise ManifestError(f"{self.name} cannot be built again: {_words(error)}") from error
        if strategy is None or strategy.manifest != self.manifest:
            raise ManifestError(f"{self.name} declares other things than when the trader started")
        self.strategy = strategy
        self.restarts += 1
        self.error = self.fault = None
        self.max_ns = 0


WATCH.host_code = StrategyHost.run.__code__


def _words(error: BaseException) -> str:
    """An exception in words; one that cannot be printed is named by its type."""
    try:
        return repr(error)[:300]
    except Exception:  # noqa: BLE001 - its repr belongs to the strategy
        return type(error).__name__


def _percentile_ns(times: list[int], count: int) -> int:
    """The upper edge of the step in which the 99th percentile lies."""
    wanted, seen = count - count // 100, 0
    for step, number in enumerate(times):
        seen += number
        if seen >= wanted:
            return (step + 1) << BUCKET_SHIFT
    return BUCKETS << BUCKET_SHIFT


def check_manifest(manifest: Manifest, known: Container[str], outside: Container[str]) -> None:
    """Raises `ManifestError` naming everything that cannot be hosted."""
    causes = []
    if not manifest.name or len(manifest.name) > MAX_NAME_CHARACTERS or "|" in manifest.name:
        causes.append(f"name {manifest.name!r} must have 1 to {MAX_NAME_CHARACTERS} characters without '|'")
    everything = (*manifest.symbols, *manifest.outside)
    if not manifest.symbols or len(everything) > MAX_SYMBOLS:
        causes.append(f"1 to {MAX_SYMBOLS} symbols are needed, not {len(everything)}")
    if len(set(everything)) != len(everything):
        causes.append("a symbol is named twice")
    causes += [f"{one} is not traded here" for one in manifest.symbols if one not in known]
    causes += [
        f"there is no data of {one}" for one in manifest.outside if one not in known and one not in outside
    ]
    if not 1 <= manifest.timer_ms <= MAX_TIMER_MS:
        causes.append(f"timer_ms {manifest.timer_ms} is outside 1..{MAX_TIMER_MS}")
    if not 1 <= manifest.book_levels <= MAX_BOOK_LEVELS:
        causes.append(f"book_levels {manifest.book_levels} is outside 1..{MAX_BOOK_LEVELS}")
    for wanted in manifest.data:
        kind, _, seconds = wanted.partition(":")
        whole = seconds.isdecimal() and 1 <= int(seconds) <= 86_400 and 86_400 % int(seconds) == 0
        if kind not in DATA_KINDS or (kind == "bars") != bool(seconds) or (kind == "bars" and not whole):
            causes.append(f"data {wanted!r} is none of book, trades, bars:SECONDS (SECONDS divide a day)")
    if causes:
        raise ManifestError(f"strategy {manifest.name!r}: {'; '.join(causes)}")
