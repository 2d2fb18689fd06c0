"""The log of trials: every run of a strategy is written down before it begins, and there is no way around it.

The more often somebody tried, the better the best result looks by chance. The deflated Sharpe ratio needs
the number of trials, so the runner counts them itself. A line is added when a run begins and another when it
ends; each carries the hash of the line before it. Running the same thing again is the same trial.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from statistics import variance
from typing import Final, Literal

import msgspec

from .errors import BacktestRefused

MAX_LINES: Final = 1_000_000
DEFAULT: Final = Path("data") / "trials.jsonl"
Purpose = Literal["run", "sweep", "look-ahead", "perturbation"]
SELECTED_FROM: Final = ("run", "sweep")
"""Purposes that count as trials: their results are looked at. The others only confirm one result."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What was tried. Two trials with the same of all this are the same one."""

    strategy: str
    code_hash: str
    parameters: dict[str, str]
    data_hash: str
    setting: str
    symbol: str
    first_ns: int
    last_ns: int
    purpose: Purpose = "run"

    @property
    def key(self) -> str:
        """Identity of the trial, whatever it was run for."""
        same = msgspec.structs.replace(self, purpose="run")
        return hashlib.blake2b(msgspec.json.encode(same, order="deterministic"), digest_size=16).hexdigest()


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the log."""

    previous: str
    key: str
    ended: bool
    trial: Trial | None = None
    trades: int | None = None
    sharpe: float | None = None
    """Per trade; None where the trades do not give one."""


class TrialCount(msgspec.Struct, frozen=True, kw_only=True):
    """What the log says about one strategy."""

    trials: int
    known_ratios: int
    variance: float | None
    """Of the trials' Sharpe ratios per trade; None with fewer than two of them."""
    looked_before: int
    """Other trials of this strategy on overlapping data of the same symbol that were logged earlier."""
    confirmations: int


class TrialLog:
    """The log at one path; made when it is not there."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, trials: Iterable[Trial]) -> None:
        """Write down what is about to be run. Raises `BacktestRefused` when it cannot be."""
        self._append([Line(previous="", key=one.key, ended=False, trial=one) for one in trials])

    def end(self, trial: Trial, *, trades: int, sharpe: float | None) -> None:
        """Write down how a trial ended. Raises `BacktestRefused`."""
        self._append([Line(previous="", key=trial.key, ended=True, trades=trades, sharpe=sharpe)])

    def _append(self, lines: list[Line]) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.seek(0)
                known, previous = _read(file.read(), self.path)
                if len(known) + len(lines) > MAX_LINES:
                    raise BacktestRefused("TRIAL_LOG", f"{self.path} has reached {MAX_LINES} lines")
                told = {(one.key, one.ended, _purpose(one), one.trades, one.sharpe) for one in known}
                for line in lines:
                    if (line.key, line.ended, _purpose(line), line.trades, line.sharpe) in told:
                        continue
                    data = msgspec.json.encode(msgspec.structs.replace(line, previous=previous))
                    file.write(data + b"\n")
                    previous = _hash(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise BacktestRefused(
                "TRIAL_LOG", f"{self.path}: {error.strerror}; a run that is not counted is not made"
            ) from error

    def lines(self) -> list[Line]:
        """Everything so far. Raises `BacktestRefused` for a log that was changed."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise BacktestRefused("TRIAL_LOG", f"{self.path}: {error.strerror}") from error
        return _read(data, self.path)[0]

    def count(self, trial: Trial) -> TrialCount:
        """What the log says about the trial's strategy, the trial itself included."""
        trials: dict[str, Trial] = {}
        confirmations: set[tuple[str, str]] = set()
        ratios: dict[str, float] = {}
        looked_before: set[str] = set()
        reached = False
        for line in self.lines():
            if line.ended:
                if line.sharpe is not None:
                    ratios[line.key] = line.sharpe
                continue
            one = line.trial
            if one is None or one.strategy != trial.strategy:
                continue
            if one.purpose not in SELECTED_FROM:
                confirmations.add((line.key, one.purpose))
                continue
            trials[line.key] = one
            reached = reached or line.key == trial.key
            overlaps = one.first_ns <= trial.last_ns and trial.first_ns <= one.last_ns
            if not reached and overlaps and one.symbol == trial.symbol:
                looked_before.add(line.key)
        known = [ratios[key] for key in trials if key in ratios]
        return TrialCount(
            trials=max(1, len(trials)),
            known_ratios=len(known),
            variance=variance(known) if len(known) >= 2 else None,
            looked_before=len(looked_before),
            confirmations=len(confirmations),
        )


def _purpose(line: Line) -> str:
    return line.trial.purpose if line.trial is not None else ""


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _read(data: bytes, path: Path) -> tuple[list[Line], str]:
    """Lines, and the hash of the last one. Raises `BacktestRefused` where the chain does not hold."""
    lines: list[Line] = []
    previous = ""
    for number, row in enumerate(data.splitlines(), 1):
        try:
            line = msgspec.json.decode(row, type=Line)
        except msgspec.DecodeError as error:
            raise BacktestRefused("TRIAL_LOG", f"{path} line {number} cannot be read: {error}") from error
        if line.previous != previous:
            raise BacktestRefused("TRIAL_LOG", f"{path} was changed at or before line {number}")
        previous = _hash(row)
        lines.append(line)
    return lines, previous
