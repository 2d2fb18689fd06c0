"""`tradewind amm quote` from a shell: numbers, pictures, and one message for what is outside the domain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tradewind import amm
from tradewind.cli.program import run


def quoted(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    assert run(["amm", "quote", *arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_lmsr_quotes_what_the_library_computes(capsys: pytest.CaptureFixture[str]) -> None:
    found = quoted(capsys, "lmsr", "--b", "100", "--q", "10,0,-5.5", "--outcome", "2", "--spend", "3")
    assert found["prices"] == amm.lmsr_prices(100, [10, 0, -5.5])
    assert found["shares"] == amm.lmsr_shares_for_cost(100, [10, 0, -5.5], 2, 3)
    assert found["cost"] == pytest.approx(3.0)
    sold = quoted(capsys, "lmsr", "--b", "100", "--q", "0,0", "--shares=-4")
    assert sold["cost"] == amm.lmsr_trade_cost(100, [0, 0], [-4, 0])


def test_pm_and_distribution_quote_the_golden_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    bought = quoted(capsys, "pm", "--liquidity", "100", "--price", "0.5", "--collateral", "1")
    assert bought["x_out"] == pytest.approx(1.984292495387397)
    assert bought["price_after"] == pytest.approx(0.507915662, abs=1e-9)
    moved = quoted(
        capsys, "distribution", "--k", "100", "--before", "0,1", "--after", "1,1", "--backing", "100"
    )
    assert moved["collateral"] == pytest.approx(41.9755723871)
    assert moved["least_width"] == pytest.approx(0.5641895835)


@pytest.mark.parametrize(
    "arguments",
    [
        ("lmsr", "--b", "100", "--q", "0,0,0"),
        ("pm", "--liquidity", "100", "--price", "0.3"),
        ("distribution", "--k", "100", "--before", "0,1", "--after=-2,0.5"),
    ],
)
def test_a_picture_is_drawn_when_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "new" / "quote.png"
    quoted(capsys, *arguments, "--plot", str(picture))
    assert picture.read_bytes().startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("lmsr", "--b", "0", "--q", "0,0"), "b must"),
        (("lmsr", "--b", "1", "--q", "0,x"), "q must"),
        (("lmsr", "--b", "1", "--q", "0,0", "--outcome", "2", "--shares", "1"), "outcome must"),
        (("lmsr", "--b", "1", "--q", "0,0", "--shares", "1", "--spend", "1"), "exclude each other"),
        (("pm", "--liquidity", "1", "--price", "1"), "price must"),
        (("pm", "--liquidity", "1", "--price", "0.5", "--collateral", "9"), "collateral leads"),
        (("distribution", "--k", "1", "--before", "0"), "before must"),
        (("distribution", "--k", "1", "--before", "0,1", "--after", "0,-1"), "sigma_g must"),
    ],
)
def test_what_is_outside_the_domain_is_named_and_exits_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], word: str
) -> None:
    assert run(["amm", "quote", *arguments]) == 2
    assert word in capsys.readouterr().err
