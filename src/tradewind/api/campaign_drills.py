"""Drills that a campaign does to itself: halt and resume, cut connections, check journal and parts."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tradewind.observe.alerts import Alert, AlertRouter, FileSink, Severity
from tradewind.observe.logs import LogFile
from tradewind.trader.campaign.drills import ALARM_RULES, Planned
from tradewind.trader.campaign.samples import DrillLine
from tradewind.trader.risk.state import TradingState
from tradewind.venues.feeds.live import LiveFeed
from tradewind.venues.transport.nonce import NonceAllocator, NonceUnit

from .campaign_figures import FeedWatch
from .campaign_meter import VenueMeter

if TYPE_CHECKING:
    from tradewind.api.platform import Platform

ACTOR: Final = "campaign"
ALERTS_OUT: Final = "alerts.out"
RECOVER_DEADLINE_S: Final = 60.0
LOOK_S: Final = 0.02
RESUME_RETRY_S: Final = 5.0
VERIFY_DEADLINE_S: Final = 3_600.0
NONCES: Final = 5_000
ROTATION_BYTES: Final = 4_096
ROTATION_LINES: Final = 300
START: Final = "import os; os.nice(10); from tradewind.cli import main; main()"
"""A command in a process of its own, with low priority."""

Figures = dict[str, float]
Outcome = tuple[bool, bool, Figures, str]
"""(ran, passed, figures, detail)"""


class Drills:
    """Runs one planned drill at a time."""

    def __init__(self, platform: Platform, meter: VenueMeter, feed_watch: FeedWatch, folder: Path) -> None:
        self._platform, self._meter, self._feed_watch = platform, meter, feed_watch
        self._folder = folder

    async def run(self, planned: Planned, campaign_s: float) -> DrillLine:
        """The result of a drill; one that breaks is a failed drill, never the end of the campaign."""
        at_ns = time.time_ns()
        try:
            ran, passed, figures, detail = await getattr(self, f"_{planned.drill}")(planned)
        except Exception as error:  # noqa: BLE001 whatever a drill raises is its result
            ran, passed, figures, detail = True, False, {}, f"{type(error).__name__}: {error}"
        return DrillLine(
            drill=planned.drill,
            day=planned.day,
            campaign_s=round(campaign_s, 3),
            at_ns=at_ns,
            ran=ran,
            passed=passed,
            figures=figures,
            detail=detail,
        )

    # ---- the kill switch ---------------------------------------------------------------------------

    async def _kill(self, planned: Planned) -> Outcome:
        switch = self._platform.kill
        if switch is None:
            return False, False, {}, "nothing is traded"
        standing = self._restrictions()
        if standing:
            # A drill ends with a resume, which must never clear what a real event has set.
            return False, False, {}, f"the account is restricted: {standing[0]}"
        self._meter.first_cancel_ns = None
        begin_ns = time.monotonic_ns()
        result = await switch.halt(ACTOR, f"drill of day {planned.day}")
        zero_s = (time.monotonic_ns() - begin_ns) / 1e9
        first_ns = self._meter.first_cancel_ns
        figures: Figures = {"orders_before": float(result.orders_before)}
        if first_ns is not None:
            figures["first_cancel_s"] = round((first_ns - begin_ns) / 1e9, 6)
        verified = result.verified and result.orders_after == 0
        if verified:
            figures["verified_zero_s"] = round(zero_s, 6)
        detail = f"{result.orders_before} orders before, {result.detail}"
        if not verified:
            return True, False, figures, f"{result.outcome}: {detail}"
        return True, first_ns is not None, figures, detail

    async def _resume(self, planned: Planned) -> Outcome:
        del planned
        begin_s = time.monotonic()
        refusal = await self.resume()
        return True, not refusal, {"waited_s": round(time.monotonic() - begin_s, 1)}, refusal

    def _restrictions(self) -> list[str]:
        trader = self._platform.trader
        if trader is None:
            return ["nothing is traded"]
        return [f"{one.scope} {one.cause}: {one.reason}" for one in trader.states.active() if one.latching]

    async def resume(self) -> str:
        """Leave a halt of our own after the cool-down; why not, or "". Others' latches are left alone."""
        switch, trader = self._platform.kill, self._platform.trader
        if switch is None or trader is None:
            return "nothing is traded"
        await asyncio.sleep(trader.profile.account.resume_cooldown_s)
        refusal = ""
        deadline_s = time.monotonic() + RECOVER_DEADLINE_S
        while time.monotonic() < deadline_s:
            foreign = [one for one in trader.states.active() if one.latching and one.actor != ACTOR]
            if foreign:
                return f"{foreign[0].scope} is restricted by {foreign[0].cause}: an operator decides"
            result = await switch.resume(ACTOR, "the drill is over")
            if result.verified:
                return ""
            refusal = result.detail
            await asyncio.sleep(RESUME_RETRY_S)
        return refusal

    def own_halt(self) -> bool:
        """Whether a halt of an earlier drill still stands, for example after a crash in the middle of it."""
        trader = self._platform.trader
        return trader is not None and any(
            one.actor == ACTOR and one.level == TradingState.HALTED.name for one in trader.states.active()
        )

    # ---- connections -------------------------------------------------------------------------------

    async def _reconnect(self, planned: Planned) -> Outcome:
        del planned
        feed = None if self._platform.selected is None else self._platform.selected.feed
        if not isinstance(feed, LiveFeed):
            label = self._platform.feed_label
            return False, False, {}, f"the feed {label} has no connection that could be cut"
        epoch, begin_s = feed.link.epoch, time.monotonic()
        self._feed_watch.induced += 1
        feed.link.reconnect("campaign drill")
        while time.monotonic() - begin_s < RECOVER_DEADLINE_S:
            await asyncio.sleep(LOOK_S)
            if feed.link.epoch != epoch and self._feed_watch.live:
                return True, True, {"recovered_s": round(time.monotonic() - begin_s, 3)}, ""
        return True, False, {}, f"not live again within {RECOVER_DEADLINE_S:.0f} s"

    # ---- parts -------------------------------------------------------------------------------------

    async def _journal(self, planned: Planned) -> Outcome:
        """In a process of its own: gigabytes are read, and neither memory nor time of the trader is used."""
        del planned
        return await verify_journal(self._platform.configuration.data)

    async def _nonce(self, planned: Planned) -> Outcome:
        del planned
        return await asyncio.to_thread(_allocate)

    async def _rotation(self, planned: Planned) -> Outcome:
        del planned
        return await asyncio.to_thread(_rotate)

    async def _alerts(self, planned: Planned) -> Outcome:
        """An alert of every rule goes to the sink, is confirmed there, and is acknowledged."""
        return await deliver_alerts(self._folder / ALERTS_OUT, planned.day)


async def verify_journal(data: Path) -> Outcome:
    """`tradewind journal verify` on a data directory, in a child process with low priority."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", START, "journal", "verify", "--data", str(data), "--json",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(VERIFY_DEADLINE_S):
            out, errors = await child.communicate()
    except BaseException:
        child.kill()
        await child.wait()
        raise
    if child.returncode == 0:
        document: dict[str, Any] = json.loads(out)
        blocks = float(document.get("blocks", 0))
        return True, True, {"blocks": blocks}, f"{blocks:.0f} blocks verified"
    text = (out or errors).decode(errors="replace").strip()
    return True, False, {}, f"journal verify ended with {child.returncode}: {text[-200:]}"


async def deliver_alerts(path: Path, day: int) -> Outcome:
    """One alert of every rule, each confirmed by the file's own bytes. The conditions are not injected."""
    router = AlertRouter([FileSink(path)])
    at_ns = time.time_ns()
    alerts = [
        Alert(rule=rule, text=f"drill of day {day}", severity=Severity.TICKET, scope="campaign", at_ns=at_ns)
        for rule in ALARM_RULES
    ]
    for alert in alerts:
        router.post(alert)
    await router.deliver_once()
    confirmed = sum(router.last_delivery(alert.id) is not None for alert in alerts)
    acknowledged = sum(router.acknowledge(alert.id, ACTOR) is not None for alert in alerts)
    passed = confirmed == acknowledged == len(alerts) and not router.unacknowledged()
    figures = {"rules": float(len(alerts)), "delivered": float(confirmed)}
    return True, passed, figures, f"{confirmed} of {len(alerts)} rules delivered to {path.name}"


def _allocate() -> Outcome:
    """Rate of the allocator of nonces, on a key of its own."""
    with tempfile.TemporaryDirectory(prefix="tradewind-nonce-") as folder:
        nonces = NonceAllocator.open(Path(folder) / "scratch.nonce", NonceUnit.US, used=False)
        try:
            begin_ns, last, grew = time.monotonic_ns(), 0, True
            for _ in range(NONCES):
                nonce = nonces.next()
                grew = grew and nonce > last
                last = nonce
            elapsed_ns = max(1, time.monotonic_ns() - begin_ns)
        finally:
            nonces.close()
    rate = round(NONCES * 1e9 / elapsed_ns)
    return True, grew, {"per_second": float(rate)}, "" if grew else "a nonce did not grow"


def _rotate() -> Outcome:
    """The log's own files, with small bounds: they rotate, stay small, and lose no line."""
    import gzip

    with tempfile.TemporaryDirectory(prefix="tradewind-rotation-") as folder:
        directory = Path(folder) / "logs"
        files = LogFile(directory, max_file_bytes=ROTATION_BYTES, max_total_bytes=1 << 20)
        for number in range(ROTATION_LINES):
            files.write(b'{"message":"rotation drill","labels":{"number":%d}}\n' % number)
        files.close()
        closed = sorted(directory.glob("tradewind-*.jsonl.gz"))
        whole = b"".join(gzip.decompress(one.read_bytes()) for one in closed) + files.path.read_bytes()
        largest = max(len(gzip.decompress(one.read_bytes())) for one in closed) if closed else 0
    lines = [json.loads(line)["labels"]["number"] for line in whole.splitlines()]
    passed = bool(closed) and lines == list(range(ROTATION_LINES)) and largest <= ROTATION_BYTES
    figures = {"rotations": float(len(closed)), "lines": float(len(lines))}
    return True, passed, figures, f"{len(closed)} rotations, {len(lines)} of {ROTATION_LINES} lines"
