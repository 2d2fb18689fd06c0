"""What the execution desk keeps in memory, and the facts it makes of market and tape."""

from __future__ import annotations

from collections import Counter, deque
from typing import Final

import msgspec

from ..orders import ManagedOrder
from ..risk.check import Path
from . import schedule
from .algorithms import Market, Turn, Volume, beyond_limit
from .book import WINDOW_NS, Book, Parent, adverse
from .curve import VolumeCurve
from .model import Algorithm, ParentState
from .port import Host, MarketView
from .records import ExecutionRecord, Mark, ParentChanged, ParentReplanned, VolumeSeen
from .tape import Tape

SECOND_NS: Final = 1_000_000_000
DESK: Final = "execution"
TAG_PREFIX: Final = "parent:"
VOLUME_EVERY_NS: Final = 30 * SECOND_NS
"""External volume is journaled so often: a crash forgets no more of it."""


class Run(msgspec.Struct, kw_only=True):
    """What a process remembers of a parent beside its records; a restart begins it anew."""

    base_lots: int
    base_value: int
    bucket_lots: int
    bucket_since_ns: int
    beyond_since_ns: int | None = None
    asking: bool = False
    retry_ns: int = 0
    retry_for: str = "denied"
    denials: int = 0
    waiting_for: str = ""
    waits: Counter[str]
    last_mark: Mark
    volume_told_ns: int = 0
    cancel_asked: str = ""
    cancel_reason: str = ""
    wake_ns: int = 0
    """A moment before the next second at which it wants its turn; 0: none."""


class DeskBase:
    """Records, tapes and facts. Everything it decides elsewhere goes through `_tell`."""

    def __init__(self, host: Host, view: MarketView) -> None:
        self.host = host
        self.view = view
        self.book = Book()
        self.started = False
        self.counts: Counter[str] = Counter()
        self.curves: dict[str, VolumeCurve] = {}
        """Volume curves by symbol, for strategies that ask for VWAP; the operator puts them there."""
        self._refused: dict[str, deque[int]] = {}
        self._tapes: dict[str, Tape] = {}
        self._runs: dict[int, Run] = {}

    def _tell(self, record: ExecutionRecord) -> None:
        """Apply and journal: the state is never more than what its records say."""
        self.book.apply(record)
        self.host.record(record)

    def _change(self, parent: Parent, turn: Turn, *, actor: str) -> None:
        self._tell(
            ParentChanged(
                parent=parent.number,
                state=str(turn.state),
                then=turn.then,
                reason=turn.reason,
                actor=actor,
                at_ns=self.view.now_ns(),
            )
        )
        if turn.state is ParentState.HANDED or turn.then == ParentState.ABORTED:
            self.view.alarm(f"parent {parent.number} {turn.then or turn.state}: {turn.reason}")

    def _parent_of(self, order: ManagedOrder) -> Parent | None:
        number = parent_number(order)
        return None if number is None else self.book.get(number)

    # ---- facts -------------------------------------------------------------------------------------

    def _market(self, parent: Parent, run: Run) -> Market:
        market = self.view.market(parent.opened.symbol, parent.opened.strategy)
        held = self.view.position_lots(parent.opened.symbol) * adverse(parent.opened.side)
        market = msgspec.structs.replace(market, reducing=held < 0 and parent.remaining_lots <= -held)
        if market.mark is not None:
            run.last_mark = market.mark
            beyond = beyond_limit(parent, market.mark)
            if not beyond:
                run.beyond_since_ns = None
            elif run.beyond_since_ns is None:
                run.beyond_since_ns = market.now_ns
        return market

    def _volume(self, parent: Parent, run: Run, now_ns: int) -> Volume:
        tape, ratio = self._tape(parent.opened.symbol), parent.opened.scale.volume_ratio
        self._replan(parent, run, tape, now_ns)
        if now_ns - run.volume_told_ns >= VOLUME_EVERY_NS:
            run.volume_told_ns = now_ns
            seen, value = tape.lots - run.base_lots, tape.value - run.base_value
            if seen != parent.external_lots:
                self._tell(VolumeSeen(parent=parent.number, lots=seen, value=value, at_ns=now_ns))
        interval_ns = max(WINDOW_NS, parent.opened.terms.interval_s * SECOND_NS)
        return Volume(
            total_lots=(tape.lots - run.base_lots) // ratio,
            minute_lots=tape.within(now_ns, WINDOW_NS) // ratio,
            interval_lots=tape.within(now_ns, interval_ns) // ratio,
        )

    def _replan(self, parent: Parent, run: Run, tape: Tape, now_ns: int) -> None:
        """At the end of each bucket of a VWAP, its realised volume takes the place of the expected one."""
        if parent.opened.algorithm != Algorithm.VWAP:
            return
        for number in range(len(parent.replans), len(parent.opened.curve)):
            point = parent.opened.curve[number]
            if point.end_ns > now_ns:
                return
            realised = tape.lots - run.bucket_lots
            observed = run.bucket_since_ns <= point.start_ns and tape.gap_ns <= point.start_ns
            deviation = schedule.deviation_pct(realised, point.expected_lots) if observed else None
            alarm = deviation is not None and abs(deviation) > schedule.REPLAN_ALARM_PCT
            self._tell(
                ParentReplanned(
                    parent=parent.number,
                    bucket=number,
                    at_ns=now_ns,
                    realised_lots=realised if observed else 0,
                    expected_lots=point.expected_lots,
                    observed=observed,
                    alarm=alarm,
                )
            )
            run.bucket_lots, run.bucket_since_ns = tape.lots, point.end_ns
            if alarm and deviation is not None:
                self.view.alarm(
                    f"parent {parent.number}: the market's volume is {deviation:+.0f} % off the curve"
                )

    def _run(self, parent: Parent) -> Run:
        run = self._runs.get(parent.number)
        if run is None:
            tape = self._tape(parent.opened.symbol)
            now_ns = self.view.now_ns()
            tape.begin(now_ns)
            fresh = now_ns == parent.opened.start_ns
            run = self._runs[parent.number] = Run(
                base_lots=tape.lots - parent.external_lots,
                base_value=tape.value - parent.external_value,
                bucket_lots=tape.lots,
                bucket_since_ns=parent.opened.start_ns if fresh else now_ns,
                waits=Counter(),
                last_mark=parent.opened.arrival,
                volume_told_ns=now_ns,
            )
        return run

    def _tape(self, symbol: str) -> Tape:
        return self._tapes.setdefault(symbol, Tape())

    def _count_wait(self, run: Run, reason: str) -> None:
        """Waits are counted when they begin."""
        if reason and reason != run.waiting_for:
            run.waits[reason] += 1
            self.counts[f"wait {reason}"] += 1
        run.waiting_for = reason


def parent_number(order: ManagedOrder) -> int | None:
    """Number of the parent that an order's tag names, None for a single order. Only the desk's own path
    counts: a strategy may write what it likes into its tags.
    """
    tag = order.intent.tag
    if order.intent.path != Path.ALGORITHM or not tag.startswith(TAG_PREFIX):
        return None
    number = tag.removeprefix(TAG_PREFIX).partition("/")[0]
    return int(number) if number.isdecimal() else None
