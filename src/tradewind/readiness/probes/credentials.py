"""security-no-hardcoded-credentials: patterns and entropy over tree, history and configuration."""

from __future__ import annotations

import math
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from tradewind.readiness.hashing import hash_bytes
from tradewind.readiness.identity import CONFIGURATION_FILE
from tradewind.readiness.probe import Measurement, ProbeContext, count, probe
from tradewind.readiness.probes.source_tree import MAX_TEXT_BYTES, Finding, report, run_tool, tracked_files
from tradewind.readiness.record import MeasuredValue

PATTERNS: Final = {
    "private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "cloud access key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "source host token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|glpat-[A-Za-z0-9_-]{20,})\b"),
    "chat token": re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
    "vault token": re.compile(r"\bhvs\.[A-Za-z0-9_-]{24,}"),
}
ASSIGNED: Final = re.compile(
    r"""(?ix)\b[\w.-]*(?:api_?key|secret|passw(?:or)?d|token|private_?key|credential)[\w]*["']?\s*[:=]\s*
    ["'](?P<value>[A-Za-z0-9+/=_-]{16,})["']"""
)
MINIMUM_ENTROPY_BITS: Final = 3.6
LOCK_FILES: Final = (".lock",)
IMAGE_FILES: Final = ("Dockerfile", "Containerfile")
# Texts in the shape of a credential that open nothing, by the hash of their line. Only exactly these pass.
SYNTHETIC: Final[Mapping[str, str]] = {
    "3ee424cec3f1708fa5b21eaefc46b509fcd86fb1f3f38c5f06ff758f80f78abc": "planted by the test of redaction",
    "47e6dc8889eda3629fc0c9c31cd6ff022226572bb510bf67b0c5ed2a57337cbb": "frame of a key without a key inside",
}


def entropy_bits(text: str) -> float:
    """Shannon entropy in bits per character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def scan(lines: Iterable[tuple[str, int, str]]) -> Iterator[Finding]:
    """Credential-shaped text in (place, line number, text). The text itself never goes into the finding."""
    for place, number, text in lines:
        match = ASSIGNED.search(text)
        names = [name for name, pattern in PATTERNS.items() if pattern.search(text)]
        if match and entropy_bits(match["value"]) >= MINIMUM_ENTROPY_BITS:
            names.append("assigned secret")
        if names and hash_bytes(text.strip().encode()) not in SYNTHETIC:
            yield from (Finding(place, number, name) for name in names)


def _tree_lines(root: Path) -> Iterator[tuple[str, int, str]]:
    for name in tracked_files(root):
        path = root / name
        if name.endswith(LOCK_FILES) or path.stat().st_size > MAX_TEXT_BYTES:
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            yield name, number, line


def _history_lines(root: Path) -> tuple[list[tuple[str, int, str]], int]:
    """Every line that any commit added, and the number of commits. Without history: none."""
    if not (root / ".git").exists():
        return [], 0
    status, output = run_tool(
        ["git", "log", "--all", "--no-color", "--unified=0", "-p", "--format=commit %h"], root
    )
    if status != 0:
        return [], 0
    lines: list[tuple[str, int, str]] = []
    commit, name, commits = "", "", 0
    for line in output.splitlines():
        if line.startswith("commit "):
            commit, commits = line[7:], commits + 1
        elif line.startswith("+++ "):
            name = line[6:]
        elif line.startswith("+") and not name.endswith(LOCK_FILES):
            lines.append((f"{commit}:{name}", 0, line[1:]))
    return lines, commits


def _planted() -> str:
    """A key-shaped line, made anew each time so that no credential-shaped text lies in the sources."""
    return f'api_secret = "{secrets.token_urlsafe(32)}"'


def _measure(root: Path, data_dir: Path, extra: Iterable[tuple[str, int, str]] = ()) -> Measurement:
    tree = list(_tree_lines(root))
    history, commits = _history_lines(root)
    configuration: list[tuple[str, int, str]] = []
    path = data_dir / CONFIGURATION_FILE
    if path.is_file():
        configuration = [
            (path.name, n, text) for n, text in enumerate(path.read_text().splitlines(), start=1)
        ]
    found = list(scan([*tree, *history, *configuration, *extra]))
    detected = any(scan([("planted", 1, _planted())]))
    # Without a description of an image this build has no image and therefore no layers.
    not_run = [f"image layers of {name}" for name in tracked_files(root) if Path(name).name in IMAGE_FILES]
    if not commits:
        not_run.append("history: the source tree has none")
    return Measurement(
        values={
            "credentials_found": count(len(found), len(tree) + len(history)),
            "planted_credential_detected": MeasuredValue(int(detected), "bool", 1),
        },
        artefacts={
            "credentials.json": report(found, tree_lines=len(tree), commits=commits, added=len(history))
        },
        not_run=not_run,
    )


@probe("security-no-hardcoded-credentials")
def no_hardcoded_credentials(context: ProbeContext) -> Measurement:
    """Scans the tree, every added line of the history, and the effective configuration.

    The catalogue names image layers too: they are unmeasured as soon as the tree describes an image.
    """
    return _measure(context.require_source(), context.data_dir)


@no_hardcoded_credentials.mutation
def _with_committed_key(context: ProbeContext) -> Measurement:
    return _measure(context.require_source(), context.data_dir, [("planted.py", 1, _planted())])
