"""One record: signed, bound to this build, and red with the right reason after any change."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from readiness_world import World, failing_value, passing_value, values_of

from tradewind.readiness.errors import ProbeDefectError, Reason, SigningKeyError
from tradewind.readiness.gate import State
from tradewind.readiness.hashing import is_ulid, new_ulid
from tradewind.readiness.probe import Measure, Measurement, ProbeContext, Registry
from tradewind.readiness.record import EvidenceRecord, JournalRange, MeasuredValue
from tradewind.readiness.signing import KeyRing, key_id
from tradewind.readiness.verify import NS_PER_DAY, NS_PER_S

CRITERION = "validation-no-critical-todo"


@pytest.fixture
def green(world: World) -> tuple[World, EvidenceRecord]:
    world.add_probe(world.catalogue.get(CRITERION))
    record = world.measure(CRITERION)
    assert world.state(CRITERION).state is State.MET
    return world, record


def reason_of(world: World, **changes: object) -> Reason | None:
    result = world.state(CRITERION, **changes)
    assert (result.state is State.MET) == (result.reason is None)
    return result.reason


def envelope_path(world: World, record: EvidenceRecord) -> Path:
    return world.store.root / CRITERION / f"{record.id}.json"


def flipped(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return value + "0"
    if isinstance(value, list):
        return [*value, flipped(value[0]) if value else "x"]
    if isinstance(value, dict):
        return {**value, **{key: flipped(item) for key, item in list(value.items())[:1]}}
    return "none"


@pytest.mark.parametrize("name", [f.name for f in msgspec.structs.fields(EvidenceRecord)])
def test_every_flipped_field_breaks_the_signature(green: tuple[World, EvidenceRecord], name: str) -> None:
    world, record = green
    path = envelope_path(world, record)
    envelope = json.loads(path.read_bytes())
    statement = json.loads(base64.b64decode(envelope["payload"]))
    before = statement["predicate"][name]
    statement["predicate"][name] = flipped(before)
    assert statement["predicate"][name] != before
    envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    path.write_text(json.dumps(envelope))
    assert reason_of(world) is Reason.BAD_SIGNATURE


def test_every_flipped_byte_of_the_envelope_is_red(green: tuple[World, EvidenceRecord]) -> None:
    world, record = green
    path = envelope_path(world, record)
    data = path.read_bytes()
    # Every seventh byte, and every byte near a quote, where base 64 has spellings that decode alike.
    quotes = [place for place, byte in enumerate(data) if byte == ord('"')]
    near = {place + offset for place in quotes for offset in range(-4, 2)} & set(range(len(data)))
    for place in sorted(near | set(range(0, len(data), 7))):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert reason_of(world) is Reason.BAD_SIGNATURE, place


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b"x" * 2_000_000])
def test_an_unreadable_record_is_red(green: tuple[World, EvidenceRecord], content: bytes) -> None:
    world, record = green
    envelope_path(world, record).write_bytes(content)
    assert reason_of(world) is Reason.BAD_SIGNATURE


def test_a_record_moved_to_another_name_is_red(green: tuple[World, EvidenceRecord]) -> None:
    world, record = green
    path = envelope_path(world, record)
    path.rename(path.with_name(f"{new_ulid(int(record.measured_at) + NS_PER_S)}.json"))
    assert reason_of(world) is Reason.BAD_SIGNATURE


def test_evidence_of_one_criterion_does_not_serve_another(green: tuple[World, EvidenceRecord]) -> None:
    world, _record = green
    other = world.catalogue.get("validation-no-test-values")
    world.add_probe(other)
    (world.store.root / CRITERION).rename(world.store.root / other.id)
    assert world.state(other.id).reason is Reason.BAD_SIGNATURE


def row_changed(record: EvidenceRecord) -> EvidenceRecord:
    rows = [
        msgspec.structs.replace(record.threshold[0], value=record.threshold[0].value + 5),
        *record.threshold[1:],
    ]
    return msgspec.structs.replace(record, threshold=rows)


def shifted(record: EvidenceRecord, by_ns: int) -> dict[str, str]:
    return {
        name: str(int(getattr(record, name)) + by_ns) for name in ("started_at", "measured_at", "expires_at")
    }


FAILING = {
    "markers_on_critical_paths": MeasuredValue(1, "count", 1),
    "markers_without_issue": MeasuredValue(0, "count", 1),
}
FULLY_SIGNED_LIES = {
    "another catalogue": ({"catalogue_hash": "0" * 64}, Reason.CATALOGUE_MISMATCH),
    "another component": ({"scope": {"core": "0" * 64}}, Reason.BUILD_MISMATCH),
    "another base configuration": ({"base_hash": "0" * 64}, Reason.CONFIG_MISMATCH),
    "another configuration": ({"config_hash": "0" * 64}, Reason.CONFIG_MISMATCH),
    "generated data": ({"provenance": "virtual"}, Reason.PROVENANCE_TOO_LOW),
    "a duration that does not fit": ({"duration_ns": str(3_600 * NS_PER_S)}, Reason.DURATION_IMPLAUSIBLE),
    "a negative duration": ({"duration_ns": "-1"}, None),
    "a time that is no number": ({"started_at": "yesterday"}, Reason.DURATION_IMPLAUSIBLE),
    "an expiry that is no number": ({"expires_at": "never"}, Reason.DURATION_IMPLAUSIBLE),
    "its own early expiry": ({"expires_at": "0"}, Reason.EXPIRED),
    "no raw file": ({"artefacts": []}, Reason.ARTEFACT_MISSING),
    "a verdict that does not follow": ({"passed": False}, Reason.NOT_RECOMPUTABLE),
    "other values than the raw file": ({"values": FAILING, "passed": False}, Reason.NOT_RECOMPUTABLE),
    "a mutation that stayed green": ({"mutation": None}, Reason.NOT_BUILT),
    "parts not run": ({"not_run": ["the image"], "passed": False}, Reason.NOT_BUILT),
    "a journal range nobody can check": (
        {"journal": JournalRange(0, 1, 2, "a", "b")},
        Reason.NOT_RECOMPUTABLE,
    ),
}


@pytest.mark.parametrize("lie", FULLY_SIGNED_LIES)
def test_a_signed_record_with_a_lie_is_red_with_its_reason(
    green: tuple[World, EvidenceRecord], lie: str
) -> None:
    world, record = green
    changes, reason = FULLY_SIGNED_LIES[lie]
    if lie == "a mutation that stayed green":
        passing = values_of(world.catalogue.get(CRITERION), passing_value)
        changes = {"mutation": msgspec.structs.replace(record.mutation, values=passing)}
    world.resign(msgspec.structs.replace(record, **changes))
    assert reason_of(world) is (reason or Reason.DURATION_IMPLAUSIBLE)


def test_thresholds_other_than_the_catalogues_are_red(green: tuple[World, EvidenceRecord]) -> None:
    world, record = green
    world.resign(row_changed(record))
    assert reason_of(world) is Reason.CATALOGUE_MISMATCH


def test_a_failed_probe_run_is_red(green: tuple[World, EvidenceRecord]) -> None:
    world, record = green
    world.resign(
        msgspec.structs.replace(record, producer=msgspec.structs.replace(record.producer, exit_status=1))
    )
    assert reason_of(world) is Reason.NOT_RECOMPUTABLE


def test_another_build_is_red(green: tuple[World, EvidenceRecord]) -> None:
    world, _ = green
    changed = {**world.identity.components, "core": "1" * 64}
    other = replace(world.identity, components=changed, build_hash="1" * 64)
    assert reason_of(world, identity=other) is Reason.BUILD_MISMATCH


def test_another_configuration_is_red(green: tuple[World, EvidenceRecord]) -> None:
    world, _ = green
    assert reason_of(world, identity=replace(world.identity, base_hash="1" * 64)) is Reason.CONFIG_MISMATCH


def test_evidence_expires_exactly_at_its_age(green: tuple[World, EvidenceRecord]) -> None:
    world, record = green
    end_ns = int(record.measured_at) + world.catalogue.get(CRITERION).max_age_days * NS_PER_DAY
    assert reason_of(world, now_ns=end_ns - 1) is None
    assert reason_of(world, now_ns=end_ns) is Reason.EXPIRED


def test_a_late_expiry_in_the_record_does_not_prolong_it(green: tuple[World, EvidenceRecord]) -> None:
    world, record = green
    end_ns = int(record.expires_at)
    world.resign(msgspec.structs.replace(record, expires_at=str(end_ns + 1_000 * NS_PER_DAY)))
    assert reason_of(world, now_ns=end_ns) is Reason.EXPIRED


def test_evidence_from_the_future_is_red(green: tuple[World, EvidenceRecord]) -> None:
    world, record = green
    world.resign(msgspec.structs.replace(record, **shifted(record, NS_PER_DAY)))
    assert reason_of(world) is Reason.DURATION_IMPLAUSIBLE


def test_a_missing_and_a_changed_raw_file_are_told_apart(green: tuple[World, EvidenceRecord]) -> None:
    world, record = green
    path = world.store.root / CRITERION / record.id / "raw.json"
    path.write_bytes(path.read_bytes().replace(b"0", b"1"))
    assert reason_of(world) is Reason.ARTEFACT_MISMATCH
    path.unlink()
    assert reason_of(world) is Reason.ARTEFACT_MISSING
    path.symlink_to("/etc/hostname")
    assert reason_of(world) is Reason.ARTEFACT_MISSING


def test_without_its_probe_evidence_counts_for_nothing(green: tuple[World, EvidenceRecord]) -> None:
    world, _ = green
    assert reason_of(world, registry=Registry()) is Reason.NOT_BUILT


def test_a_red_measurement_is_stored_and_shown_with_its_values(world: World) -> None:
    criterion = world.catalogue.get(CRITERION)
    world.add_probe(criterion, green=False)
    record = world.measure(CRITERION)
    result = world.state(CRITERION)
    assert (record.passed, result.state, result.reason) == (False, State.NOT_MET, Reason.THRESHOLD_FAILED)
    expected = {row.metric: failing_value(row.op, row.value) for row in criterion.threshold}
    assert result.as_dict()["value"] == expected


def test_the_newest_record_decides(green: tuple[World, EvidenceRecord]) -> None:
    world, first = green
    del world.registry.probes[CRITERION]
    world.add_probe(world.catalogue.get(CRITERION), green=False)
    second = msgspec.structs.replace(world.measure(CRITERION), id=new_ulid(int(first.measured_at) + NS_PER_S))
    (world.store.root / CRITERION / second.id).mkdir()
    world.resign(second)
    assert world.state(CRITERION).evidence_id == second.id
    assert world.state(CRITERION).state is not State.MET


def test_sim_evidence_does_not_count_where_paper_is_demanded(world: World) -> None:
    name = "logging-files-below-10mb"
    world.add_probe(world.catalogue.get(name))
    world.measure(name, "sim")
    assert world.state(name).reason is Reason.PROVENANCE_TOO_LOW
    world.measure(name, "paper")
    assert world.state(name).state is State.MET
    world.measure(name, "sim")
    assert world.state(name).state is State.MET, "ignored evidence must not hide what counts"


def test_sim_evidence_counts_in_paper_where_the_catalogue_says_sim(world: World) -> None:
    world.add_probe(world.catalogue.get("orders-place"))
    world.measure("orders-place", "sim")
    assert world.state("orders-place").state is State.MET


def test_a_probe_that_is_never_red_produces_no_evidence(world: World) -> None:
    criterion = world.catalogue.get(CRITERION)
    world.add_probe(criterion)
    values = values_of(criterion, passing_value)
    world.registry.probes[CRITERION].mutate = lambda context: Measurement(values, {"raw.json": b"{}"})
    with pytest.raises(ProbeDefectError, match="still green after this mutation"):
        world.measure(CRITERION)
    world.registry.probes[CRITERION].mutate = None
    with pytest.raises(ProbeDefectError, match="no mutation"):
        world.measure(CRITERION)
    assert world.store.record_ids(CRITERION) == []


def test_a_probe_that_crashes_or_measures_something_else_produces_no_evidence(world: World) -> None:
    world.add_probe(world.catalogue.get(CRITERION))
    probe = world.registry.probes[CRITERION]

    def crash(context: object) -> Measurement:
        raise ZeroDivisionError("planted")

    probe.measure = crash
    with pytest.raises(ProbeDefectError, match="ZeroDivisionError: planted"):
        world.measure(CRITERION)
    probe.measure = lambda context: Measurement({"other": MeasuredValue(0, "count", 1)}, {"raw.json": b"{}"})
    with pytest.raises(ProbeDefectError, match="the catalogue asks"):
        world.measure(CRITERION)
    assert world.store.record_ids(CRITERION) == []


def test_zero_samples_prove_nothing(world: World) -> None:
    criterion = world.catalogue.get(CRITERION)
    world.add_probe(criterion)
    empty = {row.metric: MeasuredValue(row.value, row.unit, 0) for row in criterion.threshold}
    probe = world.registry.probes[CRITERION]
    probe.measure = lambda context: Measurement(empty, {"raw.json": b"{}"})
    probe.recompute_values = None
    world.measure(CRITERION)
    assert reason_of(world) is Reason.THRESHOLD_FAILED


def test_a_soak_without_recomputation_is_red(world: World) -> None:
    criterion = next(
        item for item in world.catalogue.criteria if item.kind == "soak" and item.stage == "paper"
    )
    world.add_probe(criterion)
    world.registry.probes[criterion.id].recompute_values = None
    world.measure(criterion.id)
    assert world.state(criterion.id).reason is Reason.NOT_RECOMPUTABLE


def test_the_signing_key_is_private_and_never_made_for_testnet_or_above(world: World) -> None:
    keys = KeyRing(world.data_dir)
    keys.private_key("paper")
    path = world.data_dir / "keys" / "producer-paper.key"
    assert path.stat().st_mode & 0o777 == 0o600
    os.chmod(path, 0o644)
    with pytest.raises(SigningKeyError, match="open to other users"):
        keys.private_key("paper")
    for environment in ("testnet", "canary", "live"):
        with pytest.raises(SigningKeyError):
            keys.private_key(environment)
        assert keys.public_key(environment) is None


def test_a_record_signed_by_a_stranger_is_red(green: tuple[World, EvidenceRecord], tmp_path: Path) -> None:
    world, record = green
    stranger = replace(world, data_dir=tmp_path / "stranger")
    (stranger.store.root / CRITERION).mkdir(parents=True)
    stranger.resign(record)
    envelope_path(world, record).write_bytes(envelope_path(stranger, record).read_bytes())
    assert reason_of(world) is Reason.BAD_SIGNATURE


def test_a_sim_key_cannot_sign_for_paper(
    green: tuple[World, EvidenceRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, record = green
    sim = KeyRing(world.data_dir).private_key("sim")
    monkeypatch.setattr(KeyRing, "private_key", lambda self, environment: sim)
    world.resign(record)
    assert reason_of(world) is Reason.BAD_SIGNATURE
    path = envelope_path(world, record)
    set_key_id(path, key_id("sim", sim.public_key()))
    assert reason_of(world) is Reason.BAD_SIGNATURE


def set_key_id(path: Path, keyid: str) -> None:
    envelope = json.loads(path.read_bytes())
    envelope["signatures"][0]["keyid"] = keyid
    path.write_text(json.dumps(envelope))


def test_a_signature_under_another_key_name_is_red(green: tuple[World, EvidenceRecord]) -> None:
    world, record = green
    set_key_id(envelope_path(world, record), "paper:" + "0" * 16)
    assert reason_of(world) is Reason.BAD_SIGNATURE


def test_evidence_of_a_higher_environment_does_not_count_below(green: tuple[World, EvidenceRecord]) -> None:
    world, _ = green
    assert reason_of(world, environment="sim") is Reason.PROVENANCE_TOO_LOW


@pytest.mark.parametrize("change", ["an additional component", "another build hash"])
def test_a_scope_that_is_not_exactly_this_build_is_red(
    green: tuple[World, EvidenceRecord], change: str
) -> None:
    world, record = green
    if change == "another build hash":
        world.resign(msgspec.structs.replace(record, build_hash="1" * 64))
    else:
        world.resign(msgspec.structs.replace(record, scope={**record.scope, "extra": "1" * 64}))
    assert reason_of(world) is Reason.BUILD_MISMATCH


def test_record_names_sort_by_time() -> None:
    names = [new_ulid(moment * 1_000_000) for moment in range(1, 1_000)]
    assert names == sorted(names)
    assert all(is_ulid(name) for name in names)
    assert not is_ulid("../" + names[0][3:])


def test_a_row_that_nothing_measures_keeps_the_criterion_red(world: World) -> None:
    criterion = next(item for item in world.catalogue.criteria if len(item.threshold) > 1)
    first = criterion.threshold[0]

    def partly(pick: Callable[[str, float], float]) -> Measure:
        value = MeasuredValue(pick(first.op, first.value), first.unit, 1)
        return lambda _: Measurement({first.metric: value}, {"raw.json": b"{}"})

    world.registry.probe(criterion.id)(partly(passing_value)).mutation(partly(failing_value))
    record = world.measure(criterion.id)
    assert not record.passed
    result = world.state(criterion.id)
    assert result.state is State.NOT_MET
    assert "was not measured" in result.detail


def test_a_mutation_that_is_red_only_by_what_is_not_measured_proves_nothing(world: World) -> None:
    criterion = next(item for item in world.catalogue.criteria if len(item.threshold) > 1)
    first = criterion.threshold[0]
    value = MeasuredValue(passing_value(first.op, first.value), first.unit, 1)

    def measure(_: ProbeContext) -> Measurement:
        return Measurement({first.metric: value}, {"raw.json": b"{}"})

    world.registry.probe(criterion.id)(measure).mutation(measure)
    with pytest.raises(ProbeDefectError, match="still green"):
        world.measure(criterion.id)
