"""Whether the core is silent: pure, on the machine's boot clock. Nothing here touches a venue."""

from __future__ import annotations

from typing import Final

import msgspec

from tradewind.trader.heartbeat import FUTURE_NS, Beat

SECOND_NS: Final = 1_000_000_000
SILENT_NS: Final = 10 * SECOND_NS
"""No beat for so long: the core is dead, stopped or stuck."""
OUTAGE_NS: Final = 40 * SECOND_NS
"""The core lives, but has had no order control or no private events for so long: its own cancel at 30 s did
not end the outage. Well before the minute in which orders have to be gone.
"""
NEVER: Final = "never"


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How long silence may last, in ns."""

    silent_ns: int = SILENT_NS
    outage_ns: int = OUTAGE_NS

    def __post_init__(self) -> None:
        if not 0 < self.silent_ns <= self.outage_ns:
            raise ValueError("0 < silent_ns <= outage_ns")


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the beats say now. `cause` is "" while nothing has to be done."""

    cause: str
    core: str
    silent_ns: int
    outage_ns: int | None


class Judge:
    """Judges the beats of one account's core. Times are of the boot clock in ns, given by the caller.

    Only a *new* beat of this account, of this boot, is a sign of life: an old file, a copy of one, a beat of
    another account or from the future is not. Starts as if the core had lived until now.
    """

    def __init__(
        self, venue: str, account: str, boot_id: str, now_ns: int, limits: Limits | None = None
    ) -> None:
        self.venue, self.account, self.boot_id = venue, account, boot_id
        self.limits = limits or Limits()
        self.latest: Beat | None = None
        self.refused: dict[str, int] = {}
        """Beats that were not taken for life, by reason."""
        self._alive_ns = now_ns

    def see(self, beat: Beat, now_ns: int) -> str:
        """Take note of what the file holds; "" for a sign of life or nothing new, else why it is refused."""
        problem = self._problem(beat, now_ns)
        if problem:
            self.refuse(problem)
            return problem
        known = self.latest
        if known is not None and (beat.core, beat.number) == (known.core, known.number):
            return ""
        self.latest = beat
        # It lived when it wrote, not when we looked: a restarted watchdog does not begin from now.
        self._alive_ns = min(now_ns, beat.at_ns)
        return ""

    def refuse(self, reason: str) -> None:
        """Counts a file that holds no sign of life."""
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def _problem(self, beat: Beat, now_ns: int) -> str:
        if (beat.venue, beat.account) != (self.venue, self.account):
            return "foreign"
        if beat.boot_id != self.boot_id:
            return "other_boot"
        if beat.at_ns > now_ns + FUTURE_NS:
            return "future"
        known = self.latest
        if known is None:
            return ""
        if beat.core == known.core:
            return "older" if beat.number < known.number else ""
        return "older" if beat.at_ns <= known.at_ns else ""

    def silent_ns(self, now_ns: int) -> int:
        """Since the last sign of life."""
        return max(0, now_ns - self._alive_ns)

    def outage_ns(self, now_ns: int) -> int | None:
        """The longer outage of the two channels, as the core tells it; None: it measures neither."""
        if self.latest is None:
            return None
        proofs = [one for one in (self.latest.control_ns, self.latest.events_ns) if one is not None]
        return max(0, now_ns - self.combine(proofs)) if proofs else None

    @staticmethod
    def combine(proofs: list[int]) -> int:
        """Both channels are needed: the older proof counts."""
        return min(proofs)

    def verdict(self, now_ns: int) -> Verdict:
        """Silence first: a dead core tells no outage."""
        silent_ns, outage_ns = self.silent_ns(now_ns), self.outage_ns(now_ns)
        cause = ""
        stopped = self.latest is not None and self.latest.stopped
        if not stopped:
            if silent_ns > self.limits.silent_ns:
                cause = "core_silent"
            elif outage_ns is not None and outage_ns > self.limits.outage_ns:
                cause = "control_lost"
        core = NEVER if self.latest is None else self.latest.core
        return Verdict(cause=cause, core=core, silent_ns=silent_ns, outage_ns=outage_ns)
