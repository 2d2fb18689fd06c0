"""The entry of the `tradewind` command: quiet from its first moment, everything else is imported behind it.

Imports take a tenth of a second, in which an interrupt would print the trace of whatever was being imported.
"""

from __future__ import annotations

import os
import signal
import sys

# `ExitCode.INTERRUPTED`, without the import.
INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> None:
    """Runs one command and leaves with its exit status."""
    # A shell that starts us in the background may have switched interrupts off: that stays.
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    from tradewind.cli import program

    program.whole_process = True
    try:
        if interruptible:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        status = program.run(list(sys.argv[1:] if arguments is None else arguments))
    except KeyboardInterrupt:
        status = INTERRUPTED
    sys.exit(status)


def run(arguments: list[str]) -> int:
    """The exit status of one command; every expected failure becomes one message."""
    from tradewind.cli.program import run

    return run(arguments)
