"""Interrupts before a command is under way: no trace, status 130."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

DEADLINE_S = 30
# Stops for `pause_s` at the import of one module, and says so.
SLOW_IMPORT = """
import signal, sys, time
class Slow:
    def find_spec(self, name, *_):
        if name == {module!r}:
            print("importing", flush=True)
            time.sleep({pause_s})
sys.meta_path.insert(0, Slow())
{before}
from tradewind.cli import main
main([{word!r}])
"""


def interrupted(module: str, word: str, *, before: str = "", pause_s: float = 60.0) -> tuple[int, str]:
    """Exit status and standard error of a command that is interrupted while it imports a module."""
    script = SLOW_IMPORT.format(module=module, word=word, before=before, pause_s=pause_s)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "importing\n"
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=DEADLINE_S)
        finally:
            process.kill()
    return process.returncode, said


@pytest.mark.parametrize(
    ("module", "word"),
    [
        ("tradewind.cli.program", "--help"),
        ("cyclopts", "--help"),
        ("tradewind.cli.failure", "--help"),
        ("tradewind.cli.status", "status"),
    ],
)
def test_an_interrupt_during_an_import_is_status_130_and_says_nothing(module: str, word: str) -> None:
    assert interrupted(module, word) == (130, "")


def test_a_command_that_was_started_with_interrupts_off_goes_on() -> None:
    off = "signal.signal(signal.SIGINT, signal.SIG_IGN)"
    assert interrupted("cyclopts", "--help", before=off, pause_s=0.5) == (0, "")
