"""`tradewind token` without a platform: the picture, and the commands' shapes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tradewind.cli.program import run
from tradewind.lab.token_plot import released
from tradewind.node.projections.token import Season, tier

PNG = b"\x89PNG\r\n\x1a\n"


def test_the_picture_of_vesting_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "supply.png"
    assert run(["token", "show", "--plot", str(picture), "--json"]) == 0
    assert picture.read_bytes().startswith(PNG)
    assert str(picture) in capsys.readouterr().out


def test_the_picture_shows_the_golden_numbers_of_p11_2() -> None:
    assert released(0) == [0, 0, 0, 0, 0]
    assert released(364)[0] == 0
    assert released(365)[0] == 5
    assert released(180)[1] == pytest.approx(1.232876712328)
    assert released(1_095)[4] == 6
    assert sum(released(3_650)) == 90


def test_a_season_emits_by_time() -> None:
    season = Season(1, 10_000_000_000_000, 0, 15_552_000 * 10**9, 0, settled=False)
    assert [season.emitted(10**9), season.emitted(86_400 * 10**9)] == [643_004, 55_555_555_555]
    assert season.emitted(2**62) == season.budget


@pytest.mark.parametrize(
    ("staked", "name"),
    [(0, "bronze"), (999_999_999, "bronze"), (10**9, "silver"), (10**10, "gold"), (10**12, "diamond")],
)
def test_p11_7_status_by_stake(staked: int, name: str) -> None:
    assert tier(staked) == name


def test_a_verb_that_is_misspelt_is_no_command() -> None:
    assert run(["token", "mint", "1"]) != 0
