"""Does a strategy know the future? Its decisions must be the same, byte for byte, when the future is another.

The data are cut at moments drawn from the seed. In one variant nothing comes after the cut, in the other what
comes after it is shuffled. What was decided before the cut is compared with the run on whole data. While the
variants run, every callback is watched: a strategy that opens a file or a connection breaks its contract
(T14.1) and could read the future there.
"""

from __future__ import annotations

import asyncio
import random
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from tradewind.trader.strategy import Strategy
from tradewind.venues.market_data import FeedEvent, Instrument
from tradewind.venues.paper.mirror import MirrorConfig

from .data import DataFile, MarketData
from .run import Decision, Facts, Setting, play
from .survey import Tell

CUTS: Final = 3
MAX_SHUFFLED: Final = 2_000
"""Moments behind a cut that are played shuffled; what was decided before the cut is known by then."""
CALLBACKS: Final = (
    "on_start", "on_book", "on_suspect", "on_trade", "on_bar", "on_fill", "on_order", "on_timer", "on_stop",
)  # fmt: skip
WATCHED: Final = frozenset({"open", "socket.connect", "subprocess.Popen", "os.system"})
CODE_SUFFIXES: Final = (".py", ".pyc", ".so", ".zip")
"""An import inside of a callback opens these, or looks for them in the interpreter's own folders."""
INTERPRETER: Final = tuple({sys.prefix, sys.base_prefix})
MAX_OPENED: Final = 100

Make = Callable[[MarketData], Strategy]
"""Builds the strategy anew for some data."""


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison."""

    variant: str
    at_ns: int
    compared: int
    passed: bool
    difference: str = ""


class LookAhead(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict. `compared`: decisions that were compared in all; none compared proves nothing."""

    passed: bool
    compared: int
    cuts: list[Cut]
    opened: list[str]
    """Files and connections that the strategy opened in its callbacks."""


class AnotherFuture:
    """Data that are the same before a cut, and afterwards end or are shuffled."""

    def __init__(self, data: MarketData, cut_ns: int, shuffle: random.Random | None) -> None:
        self._data, self.cut_ns, self._shuffle = data, cut_ns, shuffle
        self.kind: str = data.kind
        self.label: str = data.label
        self.venue: str = data.venue
        self.files: tuple[DataFile, ...] = data.files
        self.instruments: Mapping[str, Instrument] = data.instruments
        self.assumptions: tuple[str, ...] = data.assumptions
        self.gaps: tuple[str, ...] = data.gaps
        self.mirror: MirrorConfig = data.mirror
        self.market_age_ms: int | None = data.market_age_ms
        self.hash: str = data.hash
        self._seed = shuffle.random() if shuffle is not None else 0.0

    def batches(self) -> Iterator[tuple[int, list[FeedEvent]]]:
        """What came before the cut; then nothing, or what came behind it with its contents exchanged."""
        future: list[tuple[int, list[FeedEvent]]] = []
        for now_ns, events in self._data.batches():
            if now_ns < self.cut_ns:
                yield now_ns, events
                continue
            if self._shuffle is None or len(future) >= MAX_SHUFFLED:
                break
            future.append((now_ns, events))
        contents = [events for _, events in future]
        random.Random(self._seed).shuffle(contents)  # noqa: S311 - reproducible, no secret
        for (now_ns, _), events in zip(future, contents, strict=True):
            yield now_ns, events


class _Watch:
    """Notes what is opened while a callback runs. The interpreter's hook stays, so one serves all."""

    def __init__(self) -> None:
        self.inside = 0
        self.opened: list[str] = []
        self._hooked = False
        self._thread = 0

    def begin(self) -> None:
        self.opened = []
        self._thread = threading.get_ident()
        if not self._hooked:
            sys.addaudithook(self._hook)
            self._hooked = True

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.inside or event not in WATCHED or threading.get_ident() != self._thread:
            return
        name = str(arguments[1] if event == "socket.connect" else arguments[0])
        if name.endswith(CODE_SUFFIXES) or name.startswith(INTERPRETER):
            return
        if len(self.opened) < MAX_OPENED:
            self.opened.append(f"{event} {name}")

    def over(self, strategy: Strategy) -> Strategy:
        """The same object with its callbacks watched. Making it may load its file, so that is not watched."""
        for name in CALLBACKS:
            callback = getattr(strategy, name, None)
            if callback is not None:
                setattr(strategy, name, self._watched(callback))
        return strategy

    def _watched(self, callback: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self.inside += 1
            try:
                return callback(*arguments)
            finally:
                self.inside -= 1

        return call


_WATCH: Final = _Watch()


def check(
    data: MarketData,
    make: Make,
    setting: Setting,
    whole: Facts,
    *,
    cuts: int = CUTS,
    tell: Tell = lambda done, of: None,
) -> LookAhead:
    """Compare `whole`, the run on all data, with runs on other futures. Raises what `play` raises."""
    generator = random.Random(f"look-ahead/{setting.seed}/{data.hash}")  # noqa: S311 - reproducible
    span_ns = whole.end_ns - whole.start_ns
    found: list[Cut] = []
    opened: list[str] = []
    moments = sorted(whole.start_ns + int(span_ns * (0.15 + 0.75 * generator.random())) for _ in range(cuts))
    for number, cut_ns in enumerate(moments):
        for variant in ("removed", "shuffled"):
            other = AnotherFuture(data, cut_ns, generator if variant == "shuffled" else None)
            _WATCH.begin()
            facts = asyncio.run(play(other, _WATCH.over(make(other)), setting))
            opened += [one for one in _WATCH.opened if one not in opened]
            found.append(_compared(variant, cut_ns, _last_before(data, cut_ns), whole, facts))
            tell(2 * number + (2 if variant == "shuffled" else 1), 2 * cuts)
    compared = sum(one.compared for one in found)
    passed = compared > 0 and all(one.passed for one in found) and not opened
    return LookAhead(passed=passed, compared=compared, cuts=found, opened=opened)


def _last_before(data: MarketData, cut_ns: int) -> int:
    last_ns = 0
    for now_ns, _ in data.batches():
        if now_ns >= cut_ns:
            break
        last_ns = now_ns
    return last_ns


def _compared(variant: str, cut_ns: int, until_ns: int, whole: Facts, other: Facts) -> Cut:
    """Decisions before the last moment that both runs saw: at that one the shorter run says goodbye."""
    ours, theirs = ([one for one in facts.decisions if one[0] < until_ns] for facts in (whole, other))
    difference = _difference(ours, theirs)
    return Cut(
        variant=variant, at_ns=cut_ns, compared=len(ours), passed=not difference, difference=difference
    )


def _difference(ours: list[Decision], theirs: list[Decision]) -> str:
    for number, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        if one != other:
            return f"decision {number} at {one[0]} ns: {_short(one)} instead of {_short(other)}"
    if len(ours) != len(theirs):
        return f"{len(ours)} decisions on whole data, {len(theirs)} on the other future"
    return ""


def _short(decision: Decision) -> str:
    return decision[1].decode("utf-8", "replace")[:160]
