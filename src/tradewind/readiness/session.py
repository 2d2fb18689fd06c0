"""Opening everything the gate needs for one data directory: the one place that wires it together."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Sequence
from pathlib import Path

from tradewind.readiness.catalogue import environment_rank, load_catalogue
from tradewind.readiness.evidence import Laboratory
from tradewind.readiness.identity import current_identity
from tradewind.readiness.journal_range import JournalCheck
from tradewind.readiness.probe import built_probes
from tradewind.readiness.signing import KeyRing
from tradewind.readiness.store import EvidenceStore
from tradewind.readiness.verify import Verifier


def source_root() -> Path | None:
    """The checkout this package runs from, or None when it is installed from a wheel."""
    root = Path(__file__).resolve().parents[3]
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError):
        return None
    return root if project.get("project", {}).get("name") == "tradewind" else None


def open_verifier(environment: str, data_dir: Path, now_ns: int | None = None) -> Verifier:
    """The verifier for the running build. Raises ReadinessError when something cannot be read."""
    environment_rank(environment)
    return Verifier(
        catalogue=load_catalogue(),
        environment=environment,
        identity=current_identity(environment, data_dir),
        store=EvidenceStore(data_dir),
        keys=KeyRing(data_dir),
        registry=built_probes(),
        now_ns=time.time_ns() if now_ns is None else now_ns,
        journal_check=JournalCheck(data_dir),
    )


def open_laboratory(environment: str, data_dir: Path, command: Sequence[str]) -> Laboratory:
    """What producing evidence needs; creates the data directory. Raises ReadinessError."""
    environment_rank(environment)
    data_dir.mkdir(parents=True, exist_ok=True)
    return Laboratory(
        catalogue=load_catalogue(),
        environment=environment,
        identity=current_identity(environment, data_dir),
        data_dir=data_dir,
        source_root=source_root(),
        command=tuple(command),
    )
