"""What a preflight check is: it runs something, and passes only when what it saw is what must be."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import msgspec

from tradewind.trader.risk.profile import PROFILE_DIR

Evidence = dict[str, Any]
SPOT_TIME_URL: Final = "https://api.binance.com"
COMMAND_LINE: Final = (sys.executable, "-c", "from tradewind.cli import main; main()")
CHILD: Final = (sys.executable, "-m", "tradewind.lab.preflight.child")


class Verdict(StrEnum):
    """Outcome of a check. Only PASS and, below `canary`, SKIP do not stop a start."""

    PASS = "pass"  # noqa: S105 a verdict
    FAIL = "fail"
    SKIP = "skip"
    NOT_BUILT = "not built"


class CheckFailed(Exception):
    """The check ran and saw what must not be."""


class CheckSkipped(Exception):
    """The check cannot apply here; the reason says why."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One executed check. `reason` is empty for a pass."""

    id: str
    title: str
    verdict: Verdict
    required: bool
    reason: str = ""
    evidence: Evidence = {}
    duration_ms: int = 0


@dataclass(kw_only=True)
class Context:
    """Where checks run, and what they run on.

    Everything that a check uses from outside is a field, so that a test can break the system under it:
    `interfere` maps a named moment of a check to what happens there (a flipped byte, a deleted lock).
    """

    env: str
    data: Path
    scratch: Path
    profile: Path = PROFILE_DIR / "paper.toml"
    interfere: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
    clock_ns: Callable[[], int] = time.time_ns
    venue_url: str = SPOT_TIME_URL
    command_line: tuple[str, ...] = COMMAND_LINE
    child: tuple[str, ...] = CHILD

    def at(self, moment: str, subject: Any) -> Any:
        """The subject, or what the interference makes of it."""
        interference = self.interfere.get(moment)
        if interference is None:
            return subject
        changed = interference(subject)
        return subject if changed is None else changed

    def directory(self, name: str) -> Path:
        """A fresh folder below the scratch directory."""
        path = self.scratch / name
        path.mkdir(parents=True)
        return path


Executor = Callable[[Context], Awaitable[Evidence]]


@dataclass(frozen=True, kw_only=True)
class Check:
    """An entry of the catalogue; `execute` is None for what is not built."""

    id: str
    title: str
    paper: bool
    execute: Executor | None = None


def require(condition: bool, complaint: str) -> None:
    """Fails the check unless the condition holds."""
    if not condition:
        raise CheckFailed(complaint)
