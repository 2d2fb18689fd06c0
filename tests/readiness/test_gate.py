"""The gate is a conjunction: nothing without evidence is ever green, and one red refuses."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from readiness_world import World

from tradewind.readiness.catalogue import ENVIRONMENTS, Catalogue
from tradewind.readiness.errors import CatalogueError, EvidenceStoreError, Reason
from tradewind.readiness.gate import GateResult, State
from tradewind.readiness.identity import component_hashes, current_identity
from tradewind.readiness.probe import Registry, built_probes

SMALL = 24


def small(world: World) -> World:
    """The world with the first criteria of the catalogue that paper demands."""
    criteria = world.catalogue.demanded_by("paper")[:SMALL]
    return replace(world, catalogue=Catalogue(criteria, world.catalogue.catalogue_hash), registry=Registry())


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_demanded_criterion_is_listed_and_none_is_green_without_evidence(
    world: World, environment: str
) -> None:
    registry = built_probes()
    gate = world.gate(environment=environment, registry=registry)
    assert [item.criterion for item in gate.results] == list(world.catalogue.demanded_by(environment))
    assert not gate.green
    for item in gate.results:
        assert item.state is State.NO_EVIDENCE
        built = registry.get(item.criterion.id) is not None
        assert item.reason is (Reason.MISSING_EVIDENCE if built else Reason.NOT_BUILT)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_exactly_the_criteria_with_valid_evidence_are_green(world: World, data: st.DataObject) -> None:
    shutil.rmtree(world.store.root, ignore_errors=True)
    some = small(world)
    ids = [item.id for item in some.catalogue.criteria]
    passed = data.draw(st.sets(st.sampled_from(ids)), "passed")
    failed = data.draw(st.sets(st.sampled_from(ids)), "failed") - passed
    damaged = data.draw(st.sets(st.sampled_from(sorted(passed))) if passed else st.just(set()), "damaged")
    for criterion in some.catalogue.criteria:
        some.add_probe(criterion, green=criterion.id not in failed)
    for name in sorted(passed | failed):
        record = some.measure(name)
        if name in damaged:
            (some.store.root / name / record.id / "raw.json").write_bytes(b"{}")
    gate = some.gate()
    states = {item.criterion.id: item.state for item in gate.results}
    assert set(states) == set(ids)
    assert {name for name, state in states.items() if state is State.MET} == passed - damaged
    assert {name for name, state in states.items() if state is State.NOT_MET} == failed
    assert gate.green == (passed - damaged == set(ids))


def test_all_green_is_green_and_one_red_is_red(world: World) -> None:
    some = small(world)
    for criterion in some.catalogue.criteria:
        some.add_probe(criterion)
        some.measure(criterion.id)
    assert some.gate().green
    last = some.catalogue.criteria[-1].id
    shutil.rmtree(some.store.root / last)
    gate = some.gate()
    assert not gate.green
    assert [item.criterion.id for item in gate.results if item.state is not State.MET] == [last]


def test_the_published_form_has_exactly_the_agreed_keys(world: World) -> None:
    some = small(world)
    some.add_probe(some.catalogue.criteria[0])
    record = some.measure(some.catalogue.criteria[0].id)
    content = some.gate().as_dict()
    assert set(content) == {"env", "criteria"}
    keys = {"id", "area", "stage", "kind", "state", "value", "threshold", "evidence"}
    assert all(set(item) == keys for item in content["criteria"])
    first, second = content["criteria"][:2]
    assert (first["state"], first["evidence"]) == ("met", record.id)
    assert (second["state"], second["value"], second["evidence"]) == ("no_evidence", None, None)


def test_an_empty_demand_is_not_green(world: World) -> None:
    live = [item for item in world.catalogue.criteria if item.stage == "live"]
    with pytest.raises(CatalogueError, match="nothing can be green"):
        world.gate(catalogue=Catalogue(tuple(live), "0"), environment="sim")
    assert not GateResult("sim", ()).green


def test_an_evidence_folder_that_cannot_be_listed_stops_the_evaluation(world: World) -> None:
    world.store.root.mkdir()
    (world.store.root / world.catalogue.criteria[0].id).write_text("not a folder")
    with pytest.raises(EvidenceStoreError):
        world.gate()


def test_an_unreadable_configuration_stops_the_evaluation(tmp_path: Path) -> None:
    (tmp_path / "effective-config.json").write_text("{")
    with pytest.raises(EvidenceStoreError):
        current_identity("paper", tmp_path)


def test_overlay_keys_change_the_configuration_but_not_its_base(tmp_path: Path) -> None:
    path = tmp_path / "effective-config.json"
    path.write_text('{"port": 8000, "daily_loss_limit_micro": "1"}')
    first = current_identity("paper", tmp_path)
    path.write_text('{"port": 9000, "daily_loss_limit_micro": "1"}')
    second = current_identity("paper", tmp_path)
    path.write_text('{"port": 9000, "daily_loss_limit_micro": "2"}')
    third = current_identity("paper", tmp_path)
    assert first.base_hash == second.base_hash != third.base_hash
    assert len({first.config_hash, second.config_hash, third.config_hash}) == 3


def test_a_change_of_one_file_changes_its_component_and_the_build(tmp_path: Path) -> None:
    package = tmp_path / "package"
    for name in ("core/a.py", "node/b.py", "_core.abi3.so", "__init__.py"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(name)
    before = component_hashes(package)
    (package / "core" / "a.py").write_text("changed")
    (package / "node" / "__pycache__").mkdir()
    (package / "node" / "__pycache__" / "b.pyc").write_text("cache")
    after = component_hashes(package)
    assert set(before) == {"core", "node", "bindings", "package"}
    assert {name for name in before if before[name] != after[name]} == {"core"}
    assert (
        current_identity("sim", tmp_path, package).build_hash != current_identity("sim", tmp_path).build_hash
    )
