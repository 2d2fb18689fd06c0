"""Every probe measures what its criterion asks, and its mutation turns it red."""

from __future__ import annotations

from pathlib import Path

import pytest

from tradewind.readiness.architecture import unused_exports
from tradewind.readiness.catalogue import Catalogue
from tradewind.readiness.errors import CannotMeasureError, ProbeDefectError
from tradewind.readiness.evidence import measured_red
from tradewind.readiness.probe import Measurement, Probe, ProbeContext, Registry, built_probes
from tradewind.readiness.probes.credentials import entropy_bits, scan
from tradewind.readiness.probes.quality import bare_suppressions, placeholder_functions
from tradewind.readiness.session import source_root

# These build the workspace or run every linter and check: `tradewind evidence run` does that.
SLOW = {
    "performance-stack-below-4kb",
    "validation-clean-compile",
    "validation-code-quality",
    "validation-preflight-command",
}
# Of these the suite runs the broken subject only: the honest measurement is long or a second platform.
BROKEN_ONLY = {
    "compliance-immutable-audit-log",
    "logging-audit-trail",
    "performance-memory-startup",
    "security-config-complete",
    "trader-emergency-stop",
    "trader-failsafe-paper-mode",
    "trader-multiple-shutdown-paths",
    "trader-state-persistence",
    "venue-balance-initialisation",
    "venue-dead-man-60s",
    "venue-duplicate-order-prevention",
    "venue-maintenance-mode",
    "venue-reconcile-after-reconnect",
    "venue-ws-reconnect-backoff",
    "venue-ws-stability",
}
PROBES = [probe for probe in built_probes() if probe.criterion_id not in SLOW]


def context(scratch: Path, data: Path | None = None) -> ProbeContext:
    return ProbeContext("paper", data or scratch, source_root(), scratch)


def run(function: object, scratch: Path) -> object:
    try:
        return function(context(scratch))
    except CannotMeasureError as error:
        pytest.skip(str(error))


def measured(function: object, scratch: Path, rows: dict[str, str]) -> Measurement:
    """A measurement whose values all belong to rows of the criterion."""
    scratch.mkdir()
    measurement = run(function, scratch)
    assert {name: value.unit for name, value in measurement.values.items()}.items() <= rows.items()
    return measurement


def test_every_probe_belongs_to_a_criterion_and_has_a_mutation(catalogue: Catalogue) -> None:
    probes = list(built_probes())
    assert len(probes) >= 7
    for probe in probes:
        assert catalogue.get(probe.criterion_id).id == probe.criterion_id
        assert probe.mutate is not None


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.criterion_id)
def test_the_mutation_of_the_catalogue_turns_the_check_red(
    probe: Probe, tmp_path: Path, catalogue: Catalogue
) -> None:
    criterion = catalogue.get(probe.criterion_id)
    rows = {row.metric: row.unit for row in criterion.threshold}
    broken = measured(probe.mutate, tmp_path / "broken", rows)
    assert measured_red(criterion, broken.values)
    if probe.criterion_id in BROKEN_ONLY:
        return
    before = measured(probe.measure, tmp_path / "as it is", rows)
    assert {k: v.value for k, v in before.values.items()} != {k: v.value for k, v in broken.values.items()}
    if probe.recompute_values is not None:
        assert dict(probe.recompute_values(before.artefacts)) == dict(before.values)


def test_a_criterion_has_at_most_one_probe() -> None:
    registry = Registry()
    registry.probe("a-b")(lambda _: None)
    with pytest.raises(ProbeDefectError, match="two probes"):
        registry.probe("a-b")(lambda _: None)


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN " + "EC PRIVATE KEY-----",
        "AKIA" + "Z" * 16,
        "ghp_" + "aB3" * 12,
        "binance_api_" + 'secret = "' + "q8Zr2LkV9xTn4YwEb7Gh" + '"',
    ],
)
def test_a_credential_of_each_shape_is_found(text: str) -> None:
    assert list(scan([("file", 1, text)]))


@pytest.mark.parametrize(
    "text",
    ['token = "environment-variable"', 'secret_name = "kv/data/venues"', "password: str", "api_key = None"],
)
def test_ordinary_code_is_not_taken_for_a_credential(text: str) -> None:
    assert list(scan([("file", 1, text)])) == []


def test_entropy_of_known_texts() -> None:
    assert entropy_bits("aaaa") == 0
    assert entropy_bits("ab") == 1
    assert entropy_bits("abcd") == 2


@pytest.mark.parametrize(
    ("line", "bare"),
    [
        ("run()  # noqa: S603", True),
        ("run()  # noqa", True),
        ("run()  # type: ignore[index]", True),
        ("run()  # noqa: S603 - the command is a constant", False),
        ("run()  # type: ignore[index]  # the stub is wrong", False),
        ("run()  # noqa: S311 a model, not a secret", False),
    ],
)
def test_a_suppression_needs_a_reason_in_words(tmp_path: Path, line: str, bare: bool) -> None:
    (tmp_path / "sample.py").write_text(line + "\n")
    assert bool(list(bare_suppressions(tmp_path, ["sample.py"]))) is bare


def test_placeholders_are_found_and_contracts_are_not(tmp_path: Path) -> None:
    package = tmp_path / "tradewind"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "sample.py").write_text(
        "from typing import Protocol\n"
        "class Contract(Protocol):\n    def ask(self) -> bool: ...\n"
        "def pretends() -> bool:\n    'Fine.'\n    return True\n"
        "def empty() -> None:\n    pass\n"
        "def documented() -> None:\n    'Nothing else.'\n"
        "def refuses() -> bool:\n    return False\n"
        "def honest() -> None:\n    raise NotImplementedError('later')\n"
    )
    names = {item.problem.split()[0] for item in placeholder_functions(tmp_path)}
    assert names == {"pretends", "empty", "documented"}


def test_only_exactly_the_known_synthetic_line_passes_the_scan() -> None:
    line = 'secret = "' + "S3cretValue" + '0123456789"'
    assert list(scan([("file", 1, f"    {line}")])) == []
    assert list(scan([("file", 1, line.replace("9", "8"))]))


def test_an_image_in_the_tree_whose_layers_are_not_scanned_keeps_the_criterion_red(tmp_path: Path) -> None:
    probe = built_probes().get("security-no-hardcoded-credentials")
    assert probe is not None
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "Dockerfile").write_text("FROM scratch\n")
    measured = probe.measure(ProbeContext("paper", tmp_path, tmp_path / "tree", tmp_path))
    assert any("Dockerfile" in part for part in measured.not_run)


def test_an_export_that_only_itself_mentions_is_found(tmp_path: Path) -> None:
    package = tmp_path / "tradewind"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "part.py").write_text(
        "def used() -> int:\n    return 1\n"
        "def unused() -> int:\n    'In prose " + "x" * 100 + " unused is mentioned.'\n    return used()\n"
        "class _Private:\n    pass\n"
    )
    assert [name for _, name, _ in unused_exports(tmp_path)] == ["unused"]
