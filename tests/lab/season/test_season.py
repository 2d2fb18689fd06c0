"""A season of outcome markets conserves every asset, and says so only because it looked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tradewind.cli import run
from tradewind.core.enums import Line
from tradewind.lab.driven import ScenarioFailed
from tradewind.lab.season.play import Season
from tradewind.lab.season.world import USDC


def season(markets: int, seed: int = 1, traders: int = 12) -> Season:
    return Season(markets, traders, seed, audit=True, tell=lambda _: None)


def test_a_season_of_21000_markets_with_resolution_conserves_every_asset() -> None:
    played = season(21_000, traders=200)
    summary = played.run()
    assert summary["conserved"]
    events = summary["events"]
    assert events["MarketResolved"] == 21_000 == events["MarketCreated"]
    assert events["Trade"] > 100_000
    assert min(events["ResolutionDisputed"], events["PoolCreated"], events["VaultExitServed"]) > 100
    assert events["SeasonSettled"] == 1
    last = played.samples[-1]
    assert (last["set_escrow"], last["bond_escrow"], last["pool_cash"]) == (0, 0, 0)


def test_the_same_seed_is_the_same_season_and_another_is_another() -> None:
    first = season(40).run()
    assert first["state_hash"] == season(40).run()["state_hash"]
    assert first["state_hash"] != season(40, seed=2).run()["state_hash"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (Line.TREASURY, "the postings of asset 0 sum to 1"),
        (Line.FREE, "users own"),
    ],
)
def test_a_micro_unit_too_much_ends_the_season(line: Line, said: str) -> None:
    played = season(20)
    played.world.books.lines[USDC, line] += 1
    with pytest.raises(ScenarioFailed) as failure:
        played.run()
    assert any(said in fault for fault in played.faults), failure.value


def test_claims_without_escrow_behind_them_end_the_season() -> None:
    played = season(20)
    played.world.books.keyed[Line.SET_ESCROW][7] += 1
    with pytest.raises(ScenarioFailed):
        played.run()
    assert any("market 6: " in fault and "on an escrow of" in fault for fault in played.faults)
    assert any("market 6 keeps 1 on its line SET_ESCROW" in fault for fault in played.faults)


def test_the_verb_writes_samples_summary_and_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["lab", "season", "--markets", "9", "--json"]) == 2
    assert "PARAMETER_OUT_OF_BOUNDS" in capsys.readouterr().out
    words = ["lab", "season", "--markets", "20", "--traders", "6", "--out", str(tmp_path), "--json"]
    assert run(words) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["conserved"] is True
    assert {path.name for path in tmp_path.iterdir()} == {"season.csv", "season.json", "season.png"}
