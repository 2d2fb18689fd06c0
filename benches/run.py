"""`python benches/run.py [SUITE] [--json] …`: the same as `tradewind bench`, from any interpreter."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".venv" / "bin" / "python"
PROGRAM = "from tradewind.cli import main; main()"


def main() -> None:
    """Replaces this process by the benchmark in the environment of the checkout."""
    if not PYTHON.exists():
        sys.exit(f"{PYTHON} is missing; run: make bench")
    os.execv(PYTHON, [str(PYTHON), "-c", PROGRAM, "bench", *sys.argv[1:]])


if __name__ == "__main__":
    main()
