"""The report directory of a campaign (T15.10). Made again from the same files: the same bytes."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any, Final

import msgspec

from .document import (
    campaign_document,
    checklist_document,
    day_document,
    days_begun,
    own_gate,
)
from .evidence import RAW_FILES, Evidence, from_files, read_files
from .pdf import PdfMissing, pdf
from .plots import PlotMissing, draw_all
from .prose import html, markdown
from .series import write_atomically
from .tables import equity_csv, fills_csv, hourly_csv, metrics_csv, moment, orders_csv

MANIFEST: Final = "manifest.json"
REPORT_VERSION: Final = 1


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was written, and the verdict."""

    folder: Path
    evidence: Evidence
    passed: bool
    red: tuple[str, ...]
    missing: tuple[str, ...]
    """Parts that could not be made, with the reason."""


def build(files: dict[str, bytes]) -> tuple[Evidence, dict[str, bytes], list[str]]:
    """Everything of a report from the raw files: evidence, content by name, and what is missing."""
    evidence = from_files(files)
    made: dict[str, bytes] = {
        "campaign.json": _json(campaign_document(evidence)),
        "hourly.csv": hourly_csv(evidence),
        "orders.csv": orders_csv(evidence),
        "fills.csv": fills_csv(evidence),
        "equity.csv": equity_csv(evidence),
        "metrics.csv": metrics_csv(evidence),
        "alerts.json": _json(
            [{**msgspec.to_builtins(one), "utc": moment(one.at_ns)} for one in evidence.alerts]
        ),
        "checklist.json": _json(checklist_document(evidence)),
    }
    for number in range(1, days_begun(evidence) + 1):
        made[f"day-{number:02d}.json"] = _json(day_document(evidence, number))
    missing: list[str] = []
    plots: dict[str, bytes] = {}
    try:
        plots = draw_all(evidence)
    except PlotMissing as error:
        missing.append(str(error))
    try:
        made["report.pdf"] = pdf(evidence, plots)
    except PdfMissing as error:
        missing.append(str(error))
    names = sorted([*made, "report.html", "report.md", MANIFEST])
    made["report.html"] = html(evidence, plots, names)
    made["report.md"] = markdown(evidence, names)
    made[MANIFEST] = _json(_manifest(evidence, files, made, missing))
    return evidence, made, missing


def write(source: Path, reports: Path) -> Report:
    """Write `reports/<campaign>/` from a campaign's folder. Raises SeriesDamaged, CampaignRefused."""
    evidence, made, missing = build(read_files(source))
    folder = reports / evidence.state.identity.name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.name not in made:
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    for name, content in sorted(made.items()):
        write_atomically(folder / name, content)
    own = msgspec.json.decode(made["checklist.json"])["gates"][str(own_gate(evidence))]
    return Report(
        folder=folder,
        evidence=evidence,
        passed=own["passed"],
        red=tuple(own["red"]),
        missing=tuple(missing),
    )


def _manifest(
    evidence: Evidence, raw: dict[str, bytes], made: dict[str, bytes], missing: list[str]
) -> dict[str, Any]:
    state, identity = evidence.state, evidence.state.identity
    lives = state.lives
    return {
        "version": REPORT_VERSION,
        "campaign": identity.name,
        "build": identity.build,
        "config_hash": identity.config_hash,
        "environment": identity.environment,
        "provenance": identity.provenance,
        "host_hash": identity.host_hash,
        "started_utc": moment(lives[0].first.wall_ns) if lives else "",
        "last_seen_utc": moment(lives[-1].last.wall_ns) if lives else "",
        "finished": state.finished,
        "missing": missing,
        "raw": {name: _sha256(raw[name]) for name in RAW_FILES if name in raw},
        "files": {name: _sha256(content) for name, content in sorted(made.items())},
    }


def _alerts(evidence: Evidence) -> list[dict[str, Any]]:
    return [{**msgspec.to_builtins(one), "utc": moment(one.at_ns)} for one in evidence.alerts]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _json(document: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"
