"""The probes of limits, nonces and pooling see more than the one mutation of the catalogue."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tradewind.readiness.catalogue import Catalogue
from tradewind.readiness.evidence import measured_red
from tradewind.readiness.probe import Probe, ProbeContext
from tradewind.readiness.probes import venue_limits, venue_nonce
from tradewind.venues.limits import kraken
from tradewind.venues.limits.binance import BinanceLimits
from tradewind.venues.limits.counting import DecayingCounter
from tradewind.venues.limits.kraken import Action, KrakenLimits
from tradewind.venues.limits.sliding import SlidingLimits
from tradewind.venues.limits.verdicts import GRANTED
from tradewind.venues.transport.nonce import NonceAllocator, NonceClock, NonceUnit
from tradewind.venues.transport.signer import SignerLane


def red(probe: Probe, folder: Path, catalogue: Catalogue) -> bool:
    measurement = probe.measure(ProbeContext("paper", folder, None, folder))
    return measured_red(catalogue.get(probe.criterion_id), measurement.values)


def young_amends(self: KrakenLimits, pair: str, order: str, now_ns: int) -> None:
    """Confirms a new order, and forgets that an amend makes it young again."""
    born = self._pairs[pair].born_ns
    if born.get(order) is None:
        born[order] = 0


def no_age(action: Action, age_ns: int) -> int:
    return 0


def fast_decay(self: DecayingCounter, maximum: int, decay_per_s: Decimal) -> None:
    HONEST(self, maximum, decay_per_s * 2)


HONEST = DecayingCounter.__init__


@pytest.mark.parametrize(
    ("target", "name", "mutant"),
    [
        (KrakenLimits, "working", young_amends),
        (kraken, "age_points", no_age),
        (DecayingCounter, "__init__", fast_decay),
        (BinanceLimits, "_charge", lambda *_: None),
        (kraken, "HEADROOM_PERCENT", 300),
    ],
    ids=["old amends", "no penalties", "fast decay", "nothing counted", "headroom above all"],
)
def test_a_model_that_predicts_wrongly_is_seen(
    target: Any, name: str, mutant: Any, tmp_path: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, name, mutant)
    assert red(venue_limits.models, tmp_path, catalogue)


@pytest.mark.parametrize(
    ("target", "name", "mutant"),
    [
        (SlidingLimits, "admit", lambda *_: GRANTED),
        (BinanceLimits, "_charge", lambda *_: None),
        (DecayingCounter, "__init__", fast_decay),
        (DecayingCounter, "free_at_ns", lambda *_: None),
    ],
    ids=["no window", "nothing counted", "fast decay", "shut"],
)
def test_a_limiter_that_lets_too_much_or_nothing_out_is_seen(
    target: Any, name: str, mutant: Any, tmp_path: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    if target is SlidingLimits:
        monkeypatch.setattr(SlidingLimits, "done", lambda *_: None)
    monkeypatch.setattr(target, name, mutant)
    assert red(venue_limits.bucket, tmp_path, catalogue)


def test_a_lane_that_takes_nonces_before_its_turn_is_seen(
    tmp_path: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nonce is taken when the call begins, and the request goes out when its turn comes."""
    honest = SignerLane.call

    async def early(self: SignerLane, build: Any, **options: Any) -> Any:
        nonce = venue_nonce.Nonce(self._allocate())
        return await honest(self, lambda _: build(nonce), **options)

    monkeypatch.setattr(SignerLane, "call", early)
    monkeypatch.setattr(venue_nonce, "_incarnations", lambda _: [])
    monkeypatch.setattr(venue_nonce, "_second_process_s", lambda _: 0.1)
    assert red(venue_nonce.single_lane, tmp_path, catalogue)


def test_an_allocator_that_runs_ahead_of_its_clock_is_seen(
    tmp_path: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(NonceClock):
        def __call__(self) -> int:
            return 1_800_000_000 * 10**9

    honest = NonceAllocator.open.__func__  # type: ignore[attr-defined]  # a class method

    def with_slow_clock(cls: type[NonceAllocator], path: Path, unit: NonceUnit, **options: Any) -> Any:
        nonces = honest(cls, path, unit, **{**options, "clock": Slow()})
        nonces.skip_ahead(11)
        return nonces

    monkeypatch.setattr(NonceAllocator, "open", classmethod(with_slow_clock))
    assert red(venue_nonce.rate, tmp_path, catalogue)
