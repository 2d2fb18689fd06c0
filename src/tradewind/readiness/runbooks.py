"""Runbooks whose steps a machine can take: fenced blocks of a Markdown page, run as they stand there.

    ```sh step=look exit=1 shows="high_water","quarantined"
    tradewind venue diagnose {venue} --data {data} --json
    ```

Names in braces are filled in by the drill. A step has passed when its command ends with the exit status and
its output has every word that is to be shown.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

MAX_STEPS: Final = 100
MAX_BYTES: Final = 1 << 20
STEP_TIMEOUT_S: Final = 60.0
PROGRAM: Final = "tradewind"
_FENCE: Final = re.compile(r"^```sh step=(?P<rest>.+?)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_HEAD: Final = re.compile(r"(?P<name>[a-z][a-z0-9-]*) exit=(?P<exit>[0-9]{1,3})(?: shows=(?P<shows>.+))?$")
_WORD: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')


class BadRunbook(Exception):
    """A step of the page cannot be taken by a machine."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One command, and what it has to show."""

    name: str
    command: str
    exit: int
    shows: tuple[str, ...]


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """How a step ended."""

    name: str
    passed: bool
    exit: int | None
    missing: tuple[str, ...]
    took_s: float


def steps_of(page: Path) -> list[Step]:
    """The steps of a page in their order.

    Raises:
        BadRunbook: a step without name or exit status, twice the same name, not one command of ours, or no
            step at all. OSError: it cannot be read.
    """
    text = page.read_bytes()[:MAX_BYTES].decode("utf-8", "replace")
    found: list[Step] = []
    for block in _FENCE.finditer(text):
        head = _HEAD.match(block["rest"])
        lines = [line for line in block["body"].splitlines() if line.strip()]
        if head is None or len(lines) != 1 or not lines[0].startswith(f"{PROGRAM} "):
            raise BadRunbook(f"{page.name}: step {block['rest'][:80]!r} is not one command of ours")
        shows = tuple(json.loads(f'"{word}"') for word in _WORD.findall(head["shows"] or ""))
        found.append(Step(name=head["name"], command=lines[0], exit=int(head["exit"]), shows=shows))
    names = [one.name for one in found]
    if not found or len(found) > MAX_STEPS or len(set(names)) != len(names):
        raise BadRunbook(f"{page.name}: 1 to {MAX_STEPS} steps with names of their own, not {len(found)}")
    return found


def filled(text: str, values: Mapping[str, str]) -> str:
    """A text with its braces filled in. Raises `BadRunbook` for a name that has no value."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise BadRunbook(f"nothing to fill in for {{{match[1]}}}")
        return values[match[1]]

    return re.sub(r"\{([a-z_]+)\}", value, text)


def take(step: Step, values: Mapping[str, str], prelude: str = "") -> Taken:
    """Runs a step. `prelude` is Python that runs in the command first: where a mutation breaks it.

    Raises:
        BadRunbook: a name in braces has no value.
    """
    arguments = [filled(one, values) for one in shlex.split(step.command)[1:]]
    wanted = [filled(one, values) for one in step.shows]
    begin_s = time.monotonic()
    status, output = _run(arguments, prelude)
    missing = tuple(one for one in wanted if one not in output)
    return Taken(
        name=step.name,
        passed=status == step.exit and not missing,
        exit=status,
        missing=missing,
        took_s=time.monotonic() - begin_s,
    )


def _run(arguments: Sequence[str], prelude: str) -> tuple[int | None, str]:
    command = [sys.executable, "-c", f"{prelude}\nfrom tradewind.cli import main; main()", *arguments]
    try:
        # The interpreter is ours, the arguments are of a page of ours.
        done: Any = subprocess.run(  # noqa: S603 - see above
            command, capture_output=True, text=True, timeout=STEP_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return None, ""
    return int(done.returncode), str(done.stdout)
