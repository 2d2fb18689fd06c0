"""The files of a checkout as static probes see them, and copies of it that a mutation may break."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tradewind.readiness.errors import CannotMeasureError

MAX_TRACKED_FILES: Final = 50_000
MAX_TEXT_BYTES: Final = 4 << 20
COMMAND_TIMEOUT_S: Final = 1_200
_RUST_COMMENT: Final = re.compile(r"//(?P<text>.*)$")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a static check objects to."""

    file: str
    line: int
    problem: str


def report(findings: Sequence[Finding], **facts: Any) -> bytes:
    """The raw file of a static check: everything found, and facts about what was looked at."""
    listed = [{"file": item.file, "line": item.line, "problem": item.problem} for item in findings]
    return json.dumps({**facts, "findings": listed}, indent=1, sort_keys=True).encode()


def tool_environment() -> dict[str, str]:
    """The environment of the tools, with those installed beside this interpreter first."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def run_tool(command: Sequence[str], directory: Path, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit status and standard output of a tool. Raises CannotMeasureError if absent or endless."""
    try:
        # The command is a constant of a probe, never input.
        result = subprocess.run(  # noqa: S603 - see above
            command, cwd=directory, env=env, capture_output=True, timeout=COMMAND_TIMEOUT_S, check=False
        )
    except FileNotFoundError as error:
        raise CannotMeasureError(f"{command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise CannotMeasureError(f"{command[0]} did not end within {COMMAND_TIMEOUT_S} s") from error
    output = result.stdout.decode(errors="replace")
    return result.returncode, output if output.strip() else result.stderr.decode(errors="replace")


def tracked_files(root: Path) -> list[str]:
    """Files that belong to the project: tracked, or new and not ignored. Raises CannotMeasureError."""
    if not (root / ".git").exists():
        files = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    else:
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        status, output = run_tool(command, root)
        if status != 0:
            raise CannotMeasureError(f"git cannot list the files: {output.strip()}")
        files = [name for name in output.split("\0") if name and (root / name).is_file()]
    if not 0 < len(files) <= MAX_TRACKED_FILES:
        raise CannotMeasureError(f"{len(files)} files in the source tree; 1 to {MAX_TRACKED_FILES} expected")
    return sorted(files)


def copy_of(root: Path, target: Path) -> Path:
    """A copy of the project's files without its history, for a mutation to break."""
    for name in tracked_files(root):
        destination = target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, destination)
    return target


def comments(path: Path) -> Iterator[tuple[int, str]]:
    """Line number and text of every comment in a Python or Rust file."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix == ".rs":
        for number, line in enumerate(text.splitlines(), start=1):
            match = _RUST_COMMENT.search(line)
            if match:
                yield number, match["text"]
        return
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string
    except (tokenize.TokenError, SyntaxError) as error:
        raise CannotMeasureError(f"{path} is not readable as Python: {error}") from error
