"""Loss versus rebalancing of pm-AMMs by simulation through the engine's kernels (protocol P10.4.5)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind import amm
from tradewind.cli.failure import CommandFailure
from tradewind.lab.rebalancing import LossReport, expected_loss, simulate, swap_to

ERRORS = 3.0


@pytest.fixture(scope="module")
def static() -> LossReport:
    return simulate(dynamic=False, price=0.5, seed=1)


@pytest.fixture(scope="module")
def dynamic() -> LossReport:
    return simulate(dynamic=True, price=0.5, seed=2)


def test_a_static_pool_loses_at_half_its_value_over_the_time_left(static: LossReport) -> None:
    assert abs(static.whole.deviation) <= ERRORS
    assert all(abs(part.deviation) <= ERRORS for part in static.parts)
    # It is no constant: the last ninth of the time loses more than twice what the first does.
    assert static.parts[-1].lost > 2 * static.parts[0].lost


def test_a_dynamic_pool_loses_the_same_all_the_time(dynamic: LossReport) -> None:
    assert abs(dynamic.whole.deviation) <= ERRORS
    assert all(abs(part.deviation) <= ERRORS for part in dynamic.parts)
    assert dynamic.whole.expected == pytest.approx(0.45)


@pytest.mark.parametrize("kind", [False, True])
def test_the_rate_is_uniform_over_prices(kind: bool) -> None:
    """Per unit of value the loss does not depend on where the price stands: 0.5 and 0.15 lose alike."""
    far = simulate(dynamic=kind, price=0.15, paths=1_000, seed=3)
    assert abs(far.whole.deviation) <= ERRORS


def test_the_wrong_rates_are_told_apart(static: LossReport, dynamic: LossReport) -> None:
    """A test that both pools passed with the other's rate would show nothing."""
    wrong = expected_loss(True, 0.0, static.whole.until)
    assert abs(static.whole.lost - wrong) > 5 * static.whole.error
    wrong = expected_loss(False, 0.0, dynamic.whole.until)
    assert abs(dynamic.whole.lost - wrong) > 5 * dynamic.whole.error


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.floats(1.0, 1e6))
def test_one_who_knows_never_loses_to_the_pool(price: float, target: float, liquidity: float) -> None:
    gained = swap_to(liquidity, price, target) if price != target else 0.0
    assert gained >= -1e-9 * liquidity
    # What the pool gives up is its value at the price it should have had.
    x, y = amm.pm_amm_reserves(liquidity, price)
    held = x * target + y * (1.0 - target)
    assert gained == pytest.approx(held - amm.pm_amm_value(liquidity, target), abs=1e-9 * liquidity)


def test_the_same_seed_gives_the_same_report() -> None:
    first, second = (simulate(dynamic=True, paths=20, seed=7) for _ in range(2))
    assert first == second
    assert first != simulate(dynamic=True, paths=20, seed=8)


@pytest.mark.parametrize(
    "wrong", [{"price": 0.0}, {"paths": 1}, {"steps": 100}, {"steps": 20_007}, {"end": 1.0}, {"end": 0.0}]
)
def test_numbers_outside_their_ranges_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        simulate(dynamic=True, **wrong)  # type: ignore[arg-type]


def test_the_verb_reports_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tradewind.cli.amm import loss

    assert loss(paths=50, plot=tmp_path / "loss.png", json=True) == 0
    assert '"dynamic"' in capsys.readouterr().out
    with pytest.raises(CommandFailure, match="price"):
        loss(price=2.0)
    assert (tmp_path / "loss.png").stat().st_size > 10_000
