"""Fresh processes: what they cost, print, and how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tradewind.lab.bench.context import MeasureFailed

MAX_ERROR_CHARACTERS: Final = 400


def environment() -> dict[str, str]:
    """The environment of a child that imports the same package as this process."""
    import tradewind

    source = str(Path(tradewind.__file__).parent.parent)
    inherited = os.environ.get("PYTHONPATH")
    path = f"{source}{os.pathsep}{inherited}" if inherited else source
    return {**os.environ, "PYTHONPATH": path, "LC_ALL": "C"}


def run(
    command: Sequence[str | Path],
    *,
    limit_s: float,
    cwd: Path | None = None,
    more: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs a child to its end.

    Raises:
        MeasureFailed: it could not start, ran longer than `limit_s`, or failed; with the end of what it said.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(  # noqa: S603 the words are ours
            words,
            capture_output=True,
            text=True,
            timeout=limit_s,
            cwd=cwd,
            check=False,
            env={**environment(), **(more or {})},
        )
    except subprocess.TimeoutExpired as error:
        raise MeasureFailed(f"{words[0]} was ended after {limit_s:.0f} s") from error
    except OSError as error:
        raise MeasureFailed(f"{words[0]} did not start: {error}") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-MAX_ERROR_CHARACTERS:]
        raise MeasureFailed(f"{words[0]} ended with status {done.returncode}: {said}")
    return done


def python_json(program: str, *, limit_s: float, prefix: Sequence[str | Path] = ()) -> tuple[Any, str]:
    """Runs a Python program that prints one JSON document; the document and what went to standard error.

    Raises:
        MeasureFailed: as `run`, or the output is no JSON.
    """
    done = run([*prefix, sys.executable, "-c", program], limit_s=limit_s)
    try:
        return json.loads(done.stdout), done.stderr
    except ValueError as error:
        raise MeasureFailed(f"no JSON from the child: {done.stdout[:MAX_ERROR_CHARACTERS]!r}") from error
