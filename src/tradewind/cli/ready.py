"""``tradewind ready`` and ``tradewind evidence``: the gate, and the measurements it stands on.

Exit status: 0 green, 1 red, 2 cannot be evaluated (which is red as well).
"""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from cyclopts import App, Parameter

from tradewind.readiness.errors import ReadinessError

GREEN: Final = 0
RED: Final = 1
CANNOT_EVALUATE: Final = 2

STYLES: Final = {"met": "green", "not_met": "red", "no_evidence": "yellow"}

Environment = Annotated[str, Parameter(help="sim, paper, testnet, canary or live")]
DataDirectory = Annotated[Path, Parameter(help="data directory of the installation")]
Json = Annotated[bool, Parameter(negative="", help="print JSON instead of a table")]

evidence = App(name="evidence", help="Measure criteria, and look at the signed records.")


def ready(
    *,
    env: Environment = "paper",
    data: DataDirectory = Path("data"),
    json: Json = False,
    report: Annotated[Path | None, Parameter(help="also write the readiness report into this folder")] = None,
) -> int:
    """Evaluate every readiness criterion that the environment demands.

    Green only when each one has valid evidence of this build and configuration.
    """
    from tradewind.readiness.gate import evaluate
    from tradewind.readiness.report import render_report, write_report
    from tradewind.readiness.session import open_verifier

    try:
        verifier = open_verifier(env, data)
        gate = evaluate(verifier)
        if report is not None:
            write_report(report, render_report(gate, verifier.identity, verifier.catalogue.catalogue_hash))
    except ReadinessError as error:
        return _cannot_evaluate(error, json)
    if json:
        print(json_module.dumps(gate.as_dict(), indent=1))
    else:
        _print_gate(gate)
    return GREEN if gate.green else RED


def _cannot_evaluate(error: ReadinessError, as_json: bool) -> int:
    """Says why there is no verdict. No verdict is red."""
    if as_json:
        print(json_module.dumps({"error": {"code": error.code, "message": str(error)}}))
    else:
        print(f"cannot evaluate ({error.code}): {error}", file=sys.stderr)
    return CANNOT_EVALUATE


def _print_gate(gate: Any) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from tradewind.readiness.gate import State

    table = Table(
        title=f"Readiness of {gate.environment}", title_justify="left", box=SIMPLE_HEAD, pad_edge=False
    )
    table.add_column("criterion", overflow="fold", max_width=40)
    table.add_column("state", no_wrap=True)
    table.add_column("why, and what changes it", overflow="fold")
    for item in gate.results:
        style = STYLES[item.state.value]
        table.add_row(item.criterion.id, f"[{style}]{item.state.value}[/]", escape(_explanation(item)))
    console = Console()
    console.print(table)
    met = sum(item.state is State.MET for item in gate.results)
    verdict = "[green]GREEN[/]" if gate.green else "[red]RED[/]"
    console.print(f"{verdict}: {met} of {len(gate.results)} criteria met; one red is enough to refuse.")


def _explanation(item: Any) -> str:
    """Reason code, measured value against threshold, age, and the command that produces fresh evidence."""
    from tradewind.readiness.report import age_text, comparison_text, remedy

    measured = (
        f"{comparison_text(item)} [age {age_text(item.age_ns)}]" if item.record else comparison_text(item)
    )
    if item.reason is None:
        return measured
    lines = [f"{item.reason.value}: {item.detail}", measured]
    command = remedy(item.criterion, item.reason)
    if command:
        lines.append(f"-> {command}")
    return "\n".join(lines)


@evidence.command
def run(
    *criteria: str,
    stage: Annotated[str | None, Parameter(help="every criterion of this stage which has a probe")] = None,
    expired: Annotated[
        bool, Parameter(negative="", help="every probe whose evidence does not count now")
    ] = False,
    long: Annotated[
        bool, Parameter(negative="", help="with --stage or --expired also soaks, which last hours")
    ] = False,
    soak: Annotated[
        str | None,
        Parameter(help="let soaks last this long only, e.g. 90s: a trial, whose evidence is red"),
    ] = None,
    env: Environment = "paper",
    data: DataDirectory = Path("data"),
    json: Json = False,
) -> int:
    """Run probes and store their signed evidence, green or red. Exit 0 when all that ran are green.

    A soak that is named always runs; it says once a minute where it stands.
    """
    from dataclasses import replace

    from tradewind.cli.output import note
    from tradewind.config import parse_duration_s
    from tradewind.observe.logs import write_to_stderr
    from tradewind.readiness.evidence import produce
    from tradewind.readiness.probe import built_probes
    from tradewind.readiness.session import open_laboratory

    write_to_stderr()
    outcomes: list[dict[str, Any]] = []
    try:
        laboratory = replace(
            open_laboratory(env, data, ["tradewind", *sys.argv[1:]]),
            soak_s=None if soak is None else parse_duration_s(soak),
            tell=note,
        )
        chosen = _choose(criteria, stage, expired, env, data, long=long)
        for criterion_id in _with_progress(chosen, json):
            criterion = laboratory.catalogue.get(criterion_id)
            probe = built_probes().get(criterion_id)
            if probe is None:
                outcomes.append(
                    {"id": criterion_id, "error": "NotBuilt", "message": "no probe measures this yet"}
                )
                continue
            try:
                record = produce(laboratory, criterion, probe)
            except ReadinessError as error:
                outcomes.append({"id": criterion_id, "error": error.code, "message": str(error)})
                continue
            values = {name: item.value for name, item in record.values.items()}
            outcomes.append(
                {
                    "id": criterion_id,
                    "passed": record.passed,
                    "value": values,
                    "not_run": record.not_run,
                    "evidence": record.id,
                }
            )
    except ReadinessError as error:
        return _cannot_evaluate(error, json)
    _print_outcomes(outcomes, json)
    if not outcomes or any("error" in item for item in outcomes):
        return CANNOT_EVALUATE
    return GREEN if all(item["passed"] for item in outcomes) else RED


def _choose(
    criteria: tuple[str, ...], stage: str | None, expired: bool, env: str, data: Path, *, long: bool
) -> list[str]:
    """The criteria to measure, without repetition, in the order given or in catalogue order.

    A soak is chosen by its name, or by `long`: nobody waits an hour without having said so.
    """
    from tradewind.readiness.gate import State, evaluate
    from tradewind.readiness.session import open_verifier

    verifier = open_verifier(env, data)
    chosen = [verifier.catalogue.get(name).id for name in criteria]
    built = [
        item
        for item in verifier.catalogue.criteria
        if verifier.registry.get(item.id) and (long or item.kind != "soak")
    ]
    if stage is not None:
        verifier.catalogue.demanded_by(stage)
        chosen += [item.id for item in built if item.stage == stage]
    if expired:
        stale = {item.criterion.id for item in evaluate(verifier).results if item.state is not State.MET}
        chosen += [item.id for item in built if item.id in stale]
    return list(dict.fromkeys(chosen))


def _with_progress(chosen: list[str], quiet: bool) -> Any:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True, quiet=quiet)
    return track(chosen, description="measuring", console=console)


def _print_outcomes(outcomes: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json_module.dumps({"evidence": outcomes}, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("criterion", "result", "measured, and the record")
    for item in outcomes:
        if "error" in item:
            table.add_row(item["id"], f"[yellow]{item['error']}[/]", item["message"])
            continue
        measured = "; ".join(f"{name} {value}" for name, value in item["value"].items())
        missing = [f"not run: {part}" for part in item["not_run"]]
        result = "[green]passed[/]" if item["passed"] else "[red]failed[/]"
        table.add_row(item["id"], result, "\n".join([measured, *missing, item["evidence"]]))
    Console().print(table if outcomes else "nothing to measure: name criteria, --stage or --expired")


@evidence.command(name="list")
def list_records(
    *, env: Environment = "paper", data: DataDirectory = Path("data"), json: Json = False
) -> int:
    """List the stored records, newest first, with what each is worth now."""
    from tradewind.readiness.session import open_verifier

    try:
        verifier = open_verifier(env, data)
        rows = [
            {"criterion": item.id, "evidence": record_id, "verdict": _verdict(verifier, item, record_id)}
            for item in verifier.catalogue.criteria
            for record_id in verifier.store.record_ids(item.id)
        ]
    except ReadinessError as error:
        return _cannot_evaluate(error, json)
    if json:
        print(json_module.dumps({"evidence": rows}, indent=1))
    else:
        from rich.console import Console
        from rich.table import Table

        table = Table("criterion", "evidence", "verdict")
        for row in rows:
            table.add_row(row["criterion"], row["evidence"], row["verdict"])
        Console().print(table if rows else "no evidence stored")
    return GREEN


def _verdict(verifier: Any, criterion: Any, record_id: str) -> str:
    from tradewind.readiness.errors import EvidenceDefectError

    try:
        verifier.check(criterion, verifier.open(criterion, record_id))
    except EvidenceDefectError as defect:
        return str(defect)
    return "valid"


@evidence.command
def show(record_id: str, *, env: Environment = "paper", data: DataDirectory = Path("data")) -> int:
    """Print one authentic record as JSON, with what it is worth now."""
    return _inspect(record_id, env, data, whole=True)


@evidence.command
def verify(record_id: str, *, env: Environment = "paper", data: DataDirectory = Path("data")) -> int:
    """Verify one record from its raw files. Exit 0 when it counts, 1 with the reason when not."""
    return _inspect(record_id, env, data, whole=False)


def _inspect(record_id: str, env: str, data: Path, *, whole: bool) -> int:
    from tradewind.readiness.errors import EvidenceDefectError
    from tradewind.readiness.session import open_verifier

    try:
        verifier = open_verifier(env, data)
        name = verifier.store.criterion_of(record_id)
        if name is None:
            print(f"no evidence record {record_id}", file=sys.stderr)
            return CANNOT_EVALUATE
        criterion = verifier.catalogue.get(name)
        record = verifier.open(criterion, record_id)
    except EvidenceDefectError as defect:
        print(json_module.dumps({"evidence": record_id, "verdict": str(defect)}))
        return RED
    except ReadinessError as error:
        return _cannot_evaluate(error, True)
    verdict = _verdict(verifier, criterion, record_id)
    content = {"record": msgspec.to_builtins(record)} if whole else {}
    print(
        json_module.dumps({"evidence": record_id, "criterion": name, "verdict": verdict, **content}, indent=1)
    )
    return GREEN if verdict == "valid" else RED
