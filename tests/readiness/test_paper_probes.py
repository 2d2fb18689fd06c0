"""Probes of area `paper`: green on a healthy campaign, red under their mutation, never green early."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tradewind.readiness.catalogue import load_catalogue
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.evidence import measured_red
from tradewind.readiness.probe import Probe, ProbeContext, built_probes
from tradewind.readiness.probes import paper_console, paper_drills
from tradewind.readiness.probes.paper_model import Model
from tradewind.readiness.verify import row_defect, values_satisfy
from tradewind.trader.campaign.evidence import from_files
from tradewind.trader.campaign.folder import CURRENT, FOLDER
from tradewind.trader.campaign.honesty import judge

CATALOGUE = load_catalogue()
PAPER = [one for one in CATALOGUE.criteria if one.area == "paper"]
SOAKS = [one for one in PAPER if one.kind == "soak"]
NEEDS_MORE = {"paper-120h-continuous": "campaign_days", "paper-profit-10000": "paper_net_profit_usd"}
"""Rows which a healthy model of five days cannot satisfy: 14 days, and 10,000 USD."""


@pytest.fixture(scope="module")
def healthy() -> dict[int, dict[str, bytes]]:
    return {hours: Model(hours).files() for hours in (24, 72, 120)}


def probe_of(criterion_id: str) -> Probe:
    found = built_probes().get(criterion_id)
    assert found is not None
    return found


def hours_of(criterion_id: str) -> int:
    if any(part in criterion_id for part in ("day1", "24h", "success", "profit")):
        return 24
    return 72 if "day2" in criterion_id else 120


def values(criterion_id: str, files: dict[str, bytes]) -> Any:
    if "profit" in criterion_id:
        known = [one.trade_id for one in from_files(files).fills]
        files = {**files, "journal-fills.json": json.dumps(known).encode()}
    recompute = probe_of(criterion_id).recompute_values
    assert recompute is not None
    return recompute(files)


def context(data: Path) -> ProbeContext:
    return ProbeContext("paper", data, None, data)


def campaign_in(data: Path, files: dict[str, bytes]) -> Path:
    folder = data / FOLDER / "20261122-000000-0000"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (data / FOLDER / CURRENT).write_text(folder.name)
    return data


def test_every_criterion_of_the_area_has_its_probe() -> None:
    assert len(PAPER) == 16
    assert [one.id for one in PAPER if built_probes().get(one.id) is None] == []


@pytest.mark.parametrize("criterion", SOAKS, ids=lambda one: one.id)
def test_a_healthy_campaign_of_its_length_satisfies_it(criterion: Any, healthy: Any) -> None:
    found = values(criterion.id, healthy[hours_of(criterion.id)])
    defects = [row_defect(criterion, found, index) for index in range(len(criterion.threshold))]
    expected = NEEDS_MORE.get(criterion.id)
    assert all(one is None or one.split()[0] == expected for one in defects), defects


@pytest.mark.parametrize("criterion", SOAKS, ids=lambda one: one.id)
def test_the_mutation_of_the_catalogue_turns_it_red(criterion: Any, tmp_path: Path) -> None:
    mutate = probe_of(criterion.id).mutate
    assert mutate is not None
    assert measured_red(criterion, mutate(context(tmp_path)).values)


@pytest.mark.parametrize("criterion", SOAKS, ids=lambda one: one.id)
@pytest.mark.parametrize("provenance", ["replay", "virtual"])
def test_hours_without_a_live_market_satisfy_nothing(criterion: Any, provenance: str) -> None:
    found = values(criterion.id, Model(24.0, provenance=provenance).files())  # type: ignore[arg-type]
    assert not values_satisfy(criterion, found)


def test_a_running_campaign_shows_its_progress_and_is_red(tmp_path: Path) -> None:
    data = campaign_in(tmp_path, Model(2.0).files())
    said: list[str] = []
    for criterion in SOAKS:
        if "profit" in criterion.id:
            continue
        measured = probe_of(criterion.id).measure(
            ProbeContext("paper", data, None, tmp_path, tell=said.append)
        )
        assert not values_satisfy(criterion, measured.values), criterion.id
        assert measured.provenance == "real"
    assert "2.0 h of 120 h" in said
    assert "2.0 h of 24 h" in said


def test_without_a_campaign_nothing_is_measured(tmp_path: Path) -> None:
    with pytest.raises(CannotMeasureError):
        probe_of("paper-24h-operation").measure(context(tmp_path))


def test_a_damaged_series_is_not_measured(tmp_path: Path) -> None:
    files = Model(2.0).files()
    files["samples.series"] = b"x" + files["samples.series"]
    with pytest.raises(CannotMeasureError):
        probe_of("paper-24h-operation").measure(context(campaign_in(tmp_path, files)))


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one.change(700, "", number=900),
        lambda one: one.change(700, "", boot_id="another"),
        lambda one: one.change(700, "", wall_ns=one.samples[700].wall_ns + 3 * 10**9),
        lambda one: one.change(700, "", process_age_s=3.0),
        lambda one: one.change(700, "", process_age_s=None),
        lambda one: one.change(700, "logs", heartbeat_gap_s=31.0),
        lambda one: one.change(700, "logs", heartbeat_gap_s=None),
        lambda one: one.samples.__delitem__(slice(700, 703)),
    ],
    ids=["number", "boot", "wall clock", "process", "no age", "heartbeat", "no heartbeat", "gap"],
)
def test_a_dishonest_stretch_ends_the_run_and_is_not_put_together(change: Any) -> None:
    model = Model(24.0)
    change(model)
    assert judge(from_files(model.files())).seconds < 0.6 * 86_400


def test_errors_of_every_class_are_handled_and_swallowed_fills_are_seen(tmp_path: Path) -> None:
    criterion = next(one for one in PAPER if one.id == "paper-day2-error-handling")
    good = paper_drills._summarise_errors(paper_drills._errors(context(tmp_path)))
    assert values_satisfy(criterion, good)
    broken = paper_drills._summarise_errors(paper_drills._swallowed(context(tmp_path)))
    assert measured_red(criterion, broken)
    assert broken["ledger_breaks"].value > 0


ENVIRONMENT = {
    "orders": 5, "connections": [], "signers": [], "succeeded": [], "fees": [10, 10], "schedule": [10, 10],
    "checked_on": "2026-11-22", "today": "2026-11-22", "digest": "a", "live_digest": "a",
}  # fmt: skip


@pytest.mark.parametrize(
    "broken",
    [
        {"fees": [0, 0]}, {"fees": [0, 0], "schedule": [0, 0]}, {"fees": [9, 10]}, {"checked_on": "never"},
        {"checked_on": "2026-11-20"}, {"connections": ["('1.2.3.4', 443)"]}, {"signers": ["x"]},
        {"succeeded": ["tradewind.venues.transport.signer"]}, {"digest": "b"}, {"orders": 0},
    ],
    ids=str,
)  # fmt: skip
def test_a_paper_environment_is_red_for_each_of_its_defects(broken: dict[str, Any]) -> None:
    criterion = next(one for one in PAPER if one.id == "paper-environment")
    assert values_satisfy(criterion, paper_drills._summarise_environment(ENVIRONMENT))
    found = paper_drills._summarise_environment({**ENVIRONMENT, **broken})
    assert not values_satisfy(criterion, found)


def test_the_documented_launch_is_what_the_probe_runs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "paper.md").read_text()
    assert paper_drills.launch_commands(page) == [
        ["tradewind", "paper", "start", "--hours", "120", "--detach"]
    ]
    with pytest.raises(CannotMeasureError):
        paper_drills.launch_commands("nothing")


def look(**changes: Any) -> dict[str, Any]:
    view = {
        "taken_ns": 1, "last": "5", "hash": "h", "block": 1, "seq": 1_234, "equity": "9", "position": "0",
        "open": 3, "commands": 7, "assets": ["USDT"], "limits": ["A"], "spread": "0.1",
    }  # fmt: skip
    shown = {
        "beat": "1", "last": "5", "hash": "h", "equity": "9", "position": "0", "open": "3 open",
        "panels": [{"name": "Journal", "text": 9}], "assets": ["USDT"], "gauges": ["A"],
        "journal": "Sequence 1,234", "performance": "Commands 7", "ladder": ["0.1"],
        "controls": {"stop-button": True},
    }  # fmt: skip
    return {"shown": {**shown, **changes}, "views": [view]}


@pytest.mark.parametrize(
    ("changes", "panel"),
    [
        ({"journal": "Sequence 1,233"}, "Journal"), ({"hash": "g"}, "Journal"), ({"last": "4"}, "Price"),
        ({"equity": "8"}, "Tiles"), ({"open": "2 open"}, "Our orders"), ({"ladder": []}, "Order book"),
        ({"assets": []}, "Balances"), ({"beat": "0"}, "Page"),
        ({"panels": [{"name": "Our fills", "text": 0}]}, "Our fills"),
    ],
)  # fmt: skip
def test_a_panel_that_shows_something_else_than_the_api_is_stale(changes: Any, panel: str) -> None:
    assert paper_console._wrong(look()) == []
    assert paper_console._wrong(look(**changes)) == [panel]
    found = paper_console._summarise({"looks": [look(), look(**changes)]})
    assert (found["probe_success"].value, found["stale_panels"].value) == (0.5, 1)


def test_a_control_that_is_disabled_is_no_success() -> None:
    found = paper_console._summarise({"looks": [look(controls={"stop-button": False})]})
    assert found["probe_success"].value == 0
