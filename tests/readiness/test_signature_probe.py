"""The probe of signed prices turns red when any part of the check at the edge is taken out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tradewind.core.errors import Rejected
from tradewind.node import publications as edge
from tradewind.node.publications import PublicationGate
from tradewind.readiness.probes.signatures import forged_prices
from tradewind.security.publications import HASH_BYTES, Publication, check

Check = Callable[[bytes, bytes, bytes, Publication], None]


class Blind(PublicationGate):
    """Looks at nothing and notes nothing."""

    def check(self, frame: bytes, attestations: Sequence[bytes]) -> list[tuple[int, int, bytes]]:
        return []


class Forgetful(PublicationGate):
    """Checks, and keeps no signature."""

    def check(self, frame: bytes, attestations: Sequence[bytes]) -> list[tuple[int, int, bytes]]:
        super().check(frame, attestations)
        return []


def only_missing(attestation: bytes, deployment: bytes, source: bytes, said: Publication) -> None:
    if not attestation:
        check(attestation, deployment, source, said)


def any_deployment(attestation: bytes, _: bytes, source: bytes, said: Publication) -> None:
    check(attestation, attestation[:HASH_BYTES], source, said)


def without(field: str) -> Check:
    """A check whose signed message leaves a field out: what was said is whatever verifies."""

    def lax(attestation: bytes, deployment: bytes, source: bytes, said: Publication) -> None:
        for step in (0, 1):
            near = msgspec.structs.replace(said, **{field: getattr(said, field) - step})
            try:
                return check(attestation, deployment, source, near)
            except Rejected:
                if step:
                    raise

    return lax


def red(cases: list[dict[str, Any]]) -> list[str]:
    return [one["case"] for one in cases if one["expected"] != one["seen"]]


def test_the_edge_as_it_is_lets_no_forged_price_through(tmp_path: Path) -> None:
    cases = forged_prices(tmp_path)
    assert red(cases) == [] and len(cases) == 16


@pytest.mark.parametrize("gate", [Blind, Forgetful])
def test_a_gate_that_does_not_look_or_keeps_no_proof_is_seen(tmp_path: Path, gate: Any) -> None:
    found = red(forged_prices(tmp_path, gate))
    assert "signature: every price in the log is proven by it" in found


@pytest.mark.parametrize(
    ("mutant", "case"),
    [
        (only_missing, "another key"),
        (any_deployment, "another deployment"),
        *(
            (without(field), f"another {field}")
            for field in ("feed", "value", "confidence", "bid", "ask", "source_time_ns", "source_seq")
        ),
    ],
)
def test_a_check_that_leaves_something_out_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mutant: Check, case: str
) -> None:
    monkeypatch.setattr(edge, "check", mutant)
    assert f"signature: {case}" in red(forged_prices(tmp_path))
