"""The document of a run: every key that other tools read, and how what cannot be measured shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tradewind.lab.bench import SUITES, Effort, Options, run
from tradewind.lab.bench import engine as engine_suite
from tradewind.lab.bench import journal as journal_suite
from tradewind.lab.bench.context import MeasureFailed, Skipped, refuse_many_refusals

ENGINE_KEYS = [
    *(f"engine.mixed.{key}" for key in ("commands_per_second", "instructions_per_command")),
    *(f"engine.mixed.{key}" for key in ("p50_ns", "p99_ns", "p999_ns")),
    *(f"engine.{flow}.instructions" for flow in ("place", "cancel", "replace", "trade")),
    "engine.deep.commands_per_second",
]
JOURNAL_KEYS = [
    f"journal.batch_{batch}.{key}"
    for batch in (1, 16, 256, 4096)
    for key in ("p50_us", "p99_us", "records_per_second")
]
OTHER_KEYS = [
    *(f"node.{key}" for key in ("durable_commands_per_second", "ack_p50_us", "ack_p99_us")),
    *("python.batch_commands_per_second", "python.single_us", "replay.commands_per_second"),
    *(f"memory.{key}_21000_markets_mb" for key in ("idle", "outcome")),
    *(f"memory.{key}" for key in ("up_rss_mb", "import_s")),
    "stack.max_frame_bytes",
    *(
        f"peers.{name}.commands_per_second"
        for name in ("lightmatchingengine", "order-book", "order-matching", "hftbacktest", "nautilus_trader")
    ),
]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory, tiny: Effort) -> dict[str, Any]:
    """One run of every suite with hardly any effort and without instruction counting."""

    def no_valgrind() -> str:
        raise Skipped("valgrind is not installed")

    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_suite, "find_valgrind", no_valgrind)
        return run(SUITES, Options(effort=tiny, scratch=folder, cache=folder / "cache"))


def reasons(found: Any) -> list[Any]:
    """Every reason for a skipped part."""
    if not isinstance(found, dict):
        return []
    own = [found["skipped"]] if "skipped" in found else []
    return own + [reason for part in found.values() for reason in reasons(part)]


@pytest.mark.parametrize("path", [*ENGINE_KEYS, *JOURNAL_KEYS, *OTHER_KEYS])
def test_every_key_of_the_contract_is_there_or_its_group_says_why_not(
    document: dict[str, Any], path: str
) -> None:
    found: Any = document["suites"]
    for name in path.split("."):
        if name not in found:
            assert isinstance(found.get("skipped"), str), f"{path} is missing without a reason"
            return
        above, found = found, found[name]
    if found is None:
        assert "_21000_" in path or above.get("skipped") or above.get("failed")
    else:
        assert isinstance(found, int | float) and found >= 0


def test_no_suite_fails_on_this_machine(document: dict[str, Any]) -> None:
    assert {name: part["failed"] for name, part in document["suites"].items() if "failed" in part} == {}


def test_replay_in_the_bench_really_compares_the_state_hash(document: dict[str, Any]) -> None:
    assert document["suites"]["replay"]["state_hash_equal"] is True


def test_every_skip_has_a_reason_in_words(document: dict[str, Any]) -> None:
    found = reasons(document["suites"])
    assert "valgrind is not installed" in found
    assert all(isinstance(reason, str) and len(reason) > 10 for reason in found)


def test_an_unknown_figure_is_no_verdict_and_names_the_reason(document: dict[str, Any]) -> None:
    rows = {row["path"]: row for row in document["budgets"]}
    unknown = rows["suites.engine.place.instructions"]
    assert (unknown["value"], unknown["holds"]) == (None, None)
    assert unknown["reason"] == "skipped: valgrind is not installed"
    known = rows["suites.engine.mixed.commands_per_second"]
    assert known["holds"] is (known["value"] >= known["budget"])


def test_the_machine_is_described_and_the_document_is_json(document: dict[str, Any]) -> None:
    again = json.loads(json.dumps(document))
    assert {"cpu", "cores", "memory_mb", "kernel", "load_average", "storage"} <= again["machine"].keys()
    assert again["machine"]["cores"] >= 1


def test_nothing_is_left_in_the_scratch_folder(tmp_path: Path, tiny: Effort) -> None:
    run(("journal", "replay"), Options(effort=tiny, scratch=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_suite_that_goes_wrong_says_so_and_the_next_one_runs(
    tmp_path: Path, tiny: Effort, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> dict[str, Any]:
        raise MeasureFailed("the disk made a noise")

    monkeypatch.setattr(journal_suite, "run", broken)
    found = run(("journal", "replay"), Options(effort=tiny, scratch=tmp_path))
    assert found["suites"]["journal"] == {"failed": "MeasureFailed: the disk made a noise"}
    assert found["suites"]["replay"]["commands"] > 0
    verdicts = {row["path"]: (row["holds"], row.get("reason")) for row in found["budgets"]}
    assert verdicts["suites.journal.batch_1.p50_us"] == (
        None,
        "failed: MeasureFailed: the disk made a noise",
    )


def test_a_misspelt_suite_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no suite 'jounral'"):
        run(("jounral",), Options(scratch=tmp_path))


def test_a_flow_that_is_mostly_refused_is_no_figure() -> None:
    refuse_many_refusals("mixed", 5, 100)
    with pytest.raises(MeasureFailed, match="6 of 100 commands of the mixed flow were refused"):
        refuse_many_refusals("mixed", 6, 100)
