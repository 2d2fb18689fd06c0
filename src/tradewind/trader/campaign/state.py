"""State of a campaign: what it is, the lives of its process, its checkpoints. On the disk after every minute.

A life is one run of the process. What counts as campaign time is the sum of the honest time of all lives; the
time between two lives is downtime and counts against uptime. How a life ended is found out by the next one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import msgspec

from .clocks import SECOND_NS, Clocks, Moment, process_started_ticks, span
from .series import write_atomically

STATE_FILE: Final = "state.json"
STATE_VERSION: Final = 1
MAX_LIVES: Final = 1_000
MAX_CLOCK_BREAKS: Final = 100
MAX_PROBLEMS: Final = 100
MAX_STATE_BYTES: Final = 4 << 20
HOUR_S: Final = 3_600.0
DAY_S: Final = 86_400.0
CHECKPOINT_HOURS: Final = (24, 48, 72, 96, 120)
MAX_HOURS: Final = 24.0 * 366

Provenance = Literal["real", "replay", "generated", "virtual"]
Ending = Literal["", "finished", "stopped", "failed", "crash", "reboot"]
"""How a life ended: "" = it goes on, or nobody knows yet. "crash" covers kill -9 and every unordered end."""


class CampaignRefused(Exception):
    """The campaign cannot be started or continued in this way. `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Life(msgspec.Struct, kw_only=True):
    """One process. `started_ticks` is the kernel's own time of its start, in clock ticks since boot."""

    number: int
    pid: int
    started_ticks: int | None
    first: Moment
    last: Moment
    ended: Ending = ""
    detail: str = ""
    virtual_s: float = 0.0
    """Seconds of the feed's own clock, in a virtual campaign."""
    clock_breaks: list[str] = []


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The campaign passed this many hours at this moment; `red` are the rows that were red then."""

    hours: int
    at_ns: int
    red: tuple[str, ...]


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What is run, fixed at the start: a campaign with another configuration is another campaign."""

    name: str
    hours: float
    provenance: Provenance
    environment: str
    feed: str
    symbol: str
    strategy: str
    profile: str
    currency: str
    config_hash: str
    build: str
    host_hash: str
    command: str


class CampaignState(msgspec.Struct, kw_only=True):
    """Everything that survives the process."""

    version: int = STATE_VERSION
    identity: Identity
    created_ns: int
    lives: list[Life] = []
    checkpoints: list[Checkpoint] = []
    days_closed: int = 0
    drills_done: dict[str, float] = {}
    """Drill id → campaign time in seconds at which it ran."""
    finished: bool = False
    problems: list[str] = []
    """Why the evidence is incomplete: a full disk, a full series."""

    # ---- time --------------------------------------------------------------------------------------

    @property
    def counted_s(self) -> float:
        """Campaign time in seconds: honest running time of all lives, or the feed's time when virtual."""
        if self.identity.provenance == "virtual":
            return sum(life.virtual_s for life in self.lives)
        return sum(span(life.first, life.last).counted_ns for life in self.lives) / SECOND_NS

    @property
    def hours(self) -> float:
        """Campaign time in hours."""
        return self.counted_s / HOUR_S

    @property
    def real_s(self) -> float:
        """Honest running time in seconds that counts as evidence: none unless the market was real."""
        return self.counted_s if self.identity.provenance == "real" else 0.0

    @property
    def unbroken_s(self) -> float:
        """Length of the longest life: hours of several lives are never put together as one run."""
        if self.identity.provenance == "virtual":
            return max((life.virtual_s for life in self.lives), default=0.0)
        return max((span(life.first, life.last).counted_ns for life in self.lives), default=0) / SECOND_NS

    @property
    def downtime_s(self) -> float:
        """Wall time between the lives; unknown clocks make it at least zero."""
        pairs = zip(self.lives, self.lives[1:], strict=False)
        return sum(max(0, after.first.wall_ns - before.last.wall_ns) for before, after in pairs) / SECOND_NS

    @property
    def suspended_s(self) -> float:
        """Time in which the machine slept; it is excluded and recorded."""
        return sum(span(life.first, life.last).suspended_ns for life in self.lives) / SECOND_NS

    @property
    def uptime(self) -> float | None:
        """Running time over running time and downtime; None before the first minute."""
        running = sum(span(life.first, life.last).counted_ns for life in self.lives) / SECOND_NS
        return running / (running + self.downtime_s) if running > 0 else None

    @property
    def restarts(self) -> int:
        """Starts after the first one."""
        return max(0, len(self.lives) - 1)

    @property
    def crashes(self) -> int:
        """Lives that ended without an orderly stop."""
        return sum(life.ended in ("crash", "reboot", "failed") for life in self.lives)

    @property
    def clock_defects(self) -> list[str]:
        """Why the time of some life cannot be trusted."""
        found = []
        for life in self.lives:
            whole = span(life.first, life.last)
            found += [f"life {life.number}: {one}" for one in life.clock_breaks]
            if whole.defect and not life.clock_breaks:
                found.append(f"life {life.number}: {whole.defect}")
        return found

    # ---- lives -------------------------------------------------------------------------------------

    def begin_life(self, clocks: Clocks, pid: int) -> Life:
        """A new process takes over. Says of the last life how it ended. Raises `CampaignRefused`."""
        if self.finished:
            raise CampaignRefused("CAMPAIGN_FINISHED", f"{self.identity.name} has reached its hours")
        if len(self.lives) >= MAX_LIVES:
            raise CampaignRefused("TOO_MANY_RESTARTS", f"{self.identity.name}: {MAX_LIVES} lives")
        now = clocks.now()
        if self.lives and not self.lives[-1].ended:
            last = self.lives[-1]
            rebooted = last.last.boot_id != now.boot_id
            last.ended = "reboot" if rebooted else "crash"
            last.detail = "the machine was booted again" if rebooted else "the process ended without a word"
        life = Life(
            number=len(self.lives) + 1,
            pid=pid,
            started_ticks=process_started_ticks(pid),
            first=now,
            last=now,
        )
        self.lives.append(life)
        return life

    def check_clock(self, before: Moment, now: Moment) -> None:
        """A step between two samples that is not honest is kept, even if a later one makes up for it."""
        life = self.lives[-1]
        defect = span(before, now).defect
        if defect and len(life.clock_breaks) < MAX_CLOCK_BREAKS:
            life.clock_breaks.append(defect)

    def problem(self, text: str) -> None:
        """The evidence is incomplete from here on."""
        if text not in self.problems and len(self.problems) < MAX_PROBLEMS:
            self.problems.append(text)

    def advance(self, now: Moment, virtual_s: float | None = None) -> None:
        """Time has passed in the present life."""
        life = self.lives[-1]
        life.last = now
        if virtual_s is not None:
            life.virtual_s = max(life.virtual_s, virtual_s)

    def end_life(self, ended: Ending, detail: str = "") -> None:
        """The present life ends in this way."""
        self.lives[-1].ended, self.lives[-1].detail = ended, detail
        self.finished = self.finished or ended == "finished"


def save(folder: Path, state: CampaignState) -> None:
    """Write the state atomically. Raises OSError."""
    write_atomically(folder / STATE_FILE, msgspec.json.format(msgspec.json.encode(state), indent=1) + b"\n")


def load(folder: Path) -> CampaignState | None:
    """The state in a folder, None where there is none. Raises `CampaignRefused` for one that is damaged."""
    path = folder / STATE_FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        state = msgspec.json.decode(content[:MAX_STATE_BYTES], type=CampaignState)
    except msgspec.DecodeError as error:
        raise CampaignRefused("CAMPAIGN_DAMAGED", f"{path}: {error}") from error
    if state.version != STATE_VERSION:
        raise CampaignRefused("CAMPAIGN_VERSION", f"{path}: version {state.version}, this build reads 1")
    return state


def alive(life: Life, boot_id: str) -> bool:
    """Whether the process of a life still runs: same boot, same pid, same start as the kernel tells it."""
    if life.ended or life.first.boot_id != boot_id or life.started_ticks is None:
        return False
    return process_started_ticks(life.pid) == life.started_ticks
