"""Reading and ending a campaign: status, report, stop. Works whether or not its process lives."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any, Final

from tradewind.cli.campaigning import running_pid
from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.output import note, print_fields, print_json, print_rows
from tradewind.trader.campaign import folder as campaigns
from tradewind.trader.campaign.checklist import evaluate
from tradewind.trader.campaign.clocks import boot_id
from tradewind.trader.campaign.document import VERDICT_WORDS, headline, own_gate, worth
from tradewind.trader.campaign.evidence import Evidence, from_files, read_files
from tradewind.trader.campaign.prose import ordered
from tradewind.trader.campaign.state import CampaignRefused, alive, load, save
from tradewind.trader.campaign.tables import moment

STOP_DEADLINE_S: Final = 60.0
STALE_S: Final = 180.0
"""A running campaign writes its state every minute; three missed ones are told."""


def show_status(data: Path, name: str | None, *, as_json: bool) -> int:
    """Progress, life and red rows. Exit 0 while it runs or is finished, 69 when its process is gone."""
    folder = campaigns.find(data, name)
    evidence = from_files(read_files(folder))
    state = evidence.state
    last = state.lives[-1] if state.lives else None
    runs = last is not None and alive(last, boot_id())
    checklist = evaluate(evidence, own_gate(evidence))
    point = state.checkpoints[-1] if state.checkpoints else None
    document: dict[str, Any] = {
        "campaign": state.identity.name,
        "running": runs,
        "pid": last.pid if runs and last is not None else None,
        "progress": f"{state.hours:.2f} h of {state.identity.hours:g} h",
        "evidence_hours": round(state.real_s / 3_600, 4),
        "provenance": state.identity.provenance,
        "feed": state.identity.feed,
        "restarts": state.restarts,
        "crashes": _crashes(evidence, runs=runs),
        "last_sample": moment(evidence.samples[-1].wall_ns) if evidence.samples else None,
        "last_checkpoint": point and f"{point.hours} h, red: {' '.join(point.red) or 'none'}",
        "finished": state.finished,
        "passed": checklist.passed,
        "red": [
            {"row": row.id, "verdict": row.verdict, "metric": row.metric, "value": row.value,
             "reason": row.reason}
            for row in ordered(checklist.red)
        ],
    }  # fmt: skip
    if as_json:
        print_json(document)
    else:
        _print_status(document, evidence, runs=runs)
    return ExitCode.OK if runs or state.finished else ExitCode.NOT_RUNNING


def _crashes(evidence: Evidence, *, runs: bool) -> int:
    """A life that nobody ended and that does not run is a crash, though only the next start will write so."""
    state = evidence.state
    silent = bool(state.lives) and not state.lives[-1].ended and not runs
    return state.crashes + silent


def _print_status(document: dict[str, Any], evidence: Evidence, *, runs: bool) -> None:
    state = evidence.state
    shown = {key: value for key, value in document.items() if key not in ("red", "passed")}
    print_fields(shown, title=headline(evidence, evaluate(evidence, own_gate(evidence))))
    note(worth(evidence))
    rows = [
        {**one, "verdict": VERDICT_WORDS[one["verdict"]], "value": one["value"]} for one in document["red"]
    ]
    print_rows(rows, ["row", "verdict", "metric", "value", "reason"], title="red now", empty="no row is red")
    if runs:
        age_s = time.time() - state.lives[-1].last.wall_ns / 1e9
        if age_s > STALE_S:
            note(f"the process lives but wrote nothing for {age_s:.0f} s")
    elif not state.finished:
        ended = state.lives[-1].ended if state.lives else ""
        how = {"": "it died without a word", "stopped": "it was stopped in order"}.get(ended, f"it {ended}ed")
        note(f"no process runs this campaign: {how}; the same `tradewind paper start` continues it")


def write_report(data: Path, name: str | None, reports: Path, *, as_json: bool) -> int:
    """Write the report; OK when its gate is green, RED otherwise."""
    from tradewind.trader.campaign.report import write

    written = write(campaigns.find(data, name), reports)
    text = headline(written.evidence, evaluate(written.evidence, own_gate(written.evidence)))
    if as_json:
        print_json(
            {
                "campaign": written.evidence.state.identity.name,
                "report": str(written.folder),
                "passed": written.passed,
                "verdict": text,
                "red": list(written.red),
                "missing": list(written.missing),
            }
        )
    else:
        print(text)
        print(f"report: {written.folder}/report.html")
        for one in written.missing:
            note(f"without: {one}")
    return ExitCode.OK if written.passed else ExitCode.RED


def stop_campaign(data: Path, *, end: bool, as_json: bool) -> int:
    """Interrupt the process and wait; with `end` close the campaign for good."""
    folder = campaigns.find(data)
    pid = running_pid(data)
    if pid is None and not end:
        state = load(folder)
        name = folder.name if state is None else state.identity.name
        raise CommandFailure(
            ExitCode.NOT_RUNNING, "NOT_RUNNING", f"no process runs campaign {name} of {data}"
        )
    if pid is not None:
        os.kill(pid, signal.SIGINT)
        deadline_s = time.monotonic() + STOP_DEADLINE_S
        while running_pid(data) == pid:
            if time.monotonic() > deadline_s:
                message = f"process {pid} still runs after {STOP_DEADLINE_S:.0f} s; see its log"
                raise CommandFailure(ExitCode.UNFINISHED, "NOT_STOPPED", message)
            time.sleep(0.1)
    state = load(folder)
    if state is None:
        raise CampaignRefused("CAMPAIGN_DAMAGED", f"{folder} has no state")
    if end and not state.finished:
        state.finished = True
        if state.lives:
            state.lives[-1].ended = state.lives[-1].ended or "crash"
            state.lives[-1].detail = f"{state.lives[-1].detail}; ended before its hours".lstrip("; ")
        save(folder, state)
    if as_json:
        print_json({"campaign": state.identity.name, "stopped": pid, "ended": state.finished})
    else:
        how = "ended" if state.finished else "stopped; `tradewind paper start` continues it"
        note(f"{state.identity.name}: {state.hours:.2f} of {state.identity.hours:g} h, {how}")
    return ExitCode.OK
