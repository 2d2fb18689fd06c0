"""Exit statuses of every verb. They are a contract: scripts may test them. `docs/exit-codes.md` is their
page.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process tells its caller."""

    OK = 0
    """Done, and the effect was read back."""
    RED = 1
    """A definite no: a rejected command, a failed check, a damaged journal, a red gate."""
    CANNOT = 2
    """Wrong usage, or something that cannot be evaluated or is not built."""
    UNFINISHED = 3
    """An orderly stop that ran out of time; what is left is listed."""
    NOT_RUNNING = 69
    """Nothing serves this data directory."""
    LOCKED = 75
    """Another process owns the data directory, a venue key or the trading of an account."""
    CONFIG = 78
    """The configuration or a missing certificate forbids the start."""
    INTERRUPTED = 130
    """Third interrupt: left at once, with the venue's timers armed. Or the first one, before anything ran."""


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "done, and the effect was read back",
    ExitCode.RED: "a definite no: rejected command, failed check, damaged journal, red gate",
    ExitCode.CANNOT: "wrong usage, or something that cannot be evaluated or is not built",
    ExitCode.UNFINISHED: "an orderly stop ran out of time; what is left is listed",
    ExitCode.NOT_RUNNING: "nothing serves this data directory",
    ExitCode.LOCKED: "another process owns the data directory, the venue key or the account's trading",
    ExitCode.CONFIG: "configuration or a missing certificate forbids the start",
    ExitCode.INTERRUPTED: "third interrupt, or one before anything ran: left at once",
}
