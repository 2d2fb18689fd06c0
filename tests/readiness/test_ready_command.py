"""The commands: exit status, JSON, report, and the way from a probe to a verified record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tradewind.cli import ready as commands
from tradewind.readiness import session
from tradewind.readiness.catalogue import Catalogue
from tradewind.readiness.identity import component_hashes
from tradewind.readiness.report import REPORT_NAME

CRITERION = "validation-no-critical-todo"


@pytest.fixture(autouse=True)
def one_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sources may be edited while the tests run: the components are hashed once."""
    components = component_hashes(Path(session.__file__).resolve().parent.parent)
    monkeypatch.setattr("tradewind.readiness.identity.component_hashes", lambda package: components)


def output(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    return json.loads(capsys.readouterr().out)


def test_ready_is_red_on_an_empty_directory_and_lists_the_whole_demand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], catalogue: Catalogue
) -> None:
    assert commands.ready(env="paper", data=tmp_path, json=True) == commands.RED
    content = output(capsys)
    assert content["env"] == "paper"
    assert [item["id"] for item in content["criteria"]] == [
        item.id for item in catalogue.demanded_by("paper")
    ]
    assert list(tmp_path.iterdir()) == [], "looking must not write"


def test_ready_that_cannot_be_evaluated_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.ready(env="moon", data=tmp_path, json=True) == commands.CANNOT_EVALUATE
    assert output(capsys)["error"]["code"] == "ENVIRONMENT_UNKNOWN"
    assert commands.ready(env="moon", data=tmp_path) == commands.CANNOT_EVALUATE
    assert "unknown environment 'moon'" in capsys.readouterr().err


def test_a_measurement_becomes_a_verified_record_that_the_gate_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = commands.run(CRITERION, data=tmp_path, json=True)
    outcome = output(capsys)["evidence"][0]
    assert status == (commands.GREEN if outcome["passed"] else commands.RED)
    commands.ready(data=tmp_path, json=True)
    shown = next(item for item in output(capsys)["criteria"] if item["id"] == CRITERION)
    assert shown["evidence"] == outcome["evidence"]
    assert shown["value"] == outcome["value"]
    assert shown["state"] == ("met" if outcome["passed"] else "not_met")
    assert commands.show(outcome["evidence"], data=tmp_path) == status
    assert output(capsys)["record"]["criterion"] == CRITERION
    assert commands.list_records(data=tmp_path, json=True) == commands.GREEN
    assert [row["evidence"] for row in output(capsys)["evidence"]] == [outcome["evidence"]]
    raw_file = tmp_path / "evidence" / CRITERION / outcome["evidence"] / "markers.json"
    raw_file.write_text("{}")
    assert commands.verify(outcome["evidence"], data=tmp_path) == commands.RED
    assert "ArtefactMismatch" in output(capsys)["verdict"]


def test_what_has_no_probe_is_not_measured_and_not_green(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.run("governance-none", data=tmp_path, json=True) == commands.CANNOT_EVALUATE
    assert output(capsys)["error"]["code"] == "CRITERION_UNKNOWN"
    assert commands.run("fees-revenue-tracked", data=tmp_path, json=True) == commands.CANNOT_EVALUATE
    assert output(capsys)["evidence"][0]["error"] == "NotBuilt"
    assert commands.run(data=tmp_path, json=True) == commands.CANNOT_EVALUATE


def test_evidence_of_testnet_is_refused_without_the_secrets_manager(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.run(CRITERION, env="testnet", data=tmp_path, json=True) == commands.CANNOT_EVALUATE
    assert output(capsys)["evidence"][0]["error"] == "SIGNING_KEY"
    assert not (tmp_path / "evidence").exists()


def test_an_unknown_record_cannot_be_shown(tmp_path: Path) -> None:
    assert commands.show("../../etc/passwd", data=tmp_path) == commands.CANNOT_EVALUATE
    assert commands.verify("0" * 26, data=tmp_path) == commands.CANNOT_EVALUATE


def test_the_report_is_the_same_byte_for_byte_and_names_every_red_criterion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], catalogue: Catalogue
) -> None:
    texts = []
    for name in ("first", "second"):
        commands.ready(data=tmp_path / "data", json=True, report=tmp_path / name)
        texts.append((tmp_path / name / REPORT_NAME).read_bytes())
    capsys.readouterr()
    assert texts[0] == texts[1]
    text = texts[0].decode()
    assert "**NO-GO**" in text
    assert all(f"| `{item.id}` | no_evidence |" in text for item in catalogue.demanded_by("paper"))


def test_the_table_names_reason_and_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.ready(env="sim", data=tmp_path) == commands.RED
    text = " ".join(capsys.readouterr().out.split())
    assert "MissingEvidence" in text and "NotBuilt" in text
    assert "RED: 0 of" in text


def test_a_soak_is_measured_when_it_is_named_or_long_work_is_wanted(tmp_path: Path) -> None:
    from tradewind.cli.ready import _choose

    assert "venue-ws-stability" in _choose(
        ("venue-ws-stability",), None, False, "paper", tmp_path, long=False
    )
    chosen = _choose((), "paper", False, "paper", tmp_path, long=False)
    assert "venue-ws-stability" not in chosen
    assert "venue-dead-man-60s" in chosen
    assert "venue-ws-stability" in _choose((), "paper", False, "paper", tmp_path, long=True)
