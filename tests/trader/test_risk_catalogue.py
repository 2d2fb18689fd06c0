"""Each limit once (T1.6): catalogue, profiles, contradictions with all causes, and the page in the docs."""

from __future__ import annotations

import tomllib
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from tradewind.config import UpConfiguration
from tradewind.trader.risk import catalogue
from tradewind.trader.risk.catalogue import BY_KEY, CATALOGUE, is_looser, stated_keys, unit_of
from tradewind.trader.risk.changes import flat
from tradewind.trader.risk.model import Code
from tradewind.trader.risk.page import page
from tradewind.trader.risk.profile import PROFILE_DIR, ConfigError, Limits, load_profile, profile_names
from tradewind.trader.strategies.market_making import MarketMakingParameters

ROOT = Path(__file__).resolve().parents[2]
STEPS = ("canary", "canary-7", "canary-pair-2", "live-example", "live-example-3")
DIMENSIONS = {
    "max_order_notional_quote": "size",
    "max_positions_count": "positions",
    "equity_cap_quote": "capital",
    "daily_loss_quote": "capital",
}
"""What a step of the ramp may change; symbols are the dimension of pairs."""


def test_each_limit_stands_in_the_catalogue_once_with_unit_scope_and_source() -> None:
    assert len({entry.id for entry in CATALOGUE}) == len(CATALOGUE)
    keys = [entry.key for entry in CATALOGUE if entry.key]
    assert sorted(keys) == sorted(stated_keys())
    assert all(entry.unit and entry.scope and entry.source and entry.code for entry in CATALOGUE)
    for key in keys:
        said = unit_of(key)
        assert key == "entry_cost_gate" or (said and BY_KEY[key].unit.startswith(said)), key


def test_every_code_is_in_the_catalogue_and_every_number_of_t11_3_is_there() -> None:
    named = {entry.code for entry in CATALOGUE} | set(catalogue.OTHER_CODES)
    assert {str(code) for code in Code} <= named
    ids = {entry.id.partition(".")[0] for entry in CATALOGUE}
    assert {f"L{number:02}" for number in range(1, 30)} <= ids


def test_no_other_source_of_configuration_states_a_limit() -> None:
    limits = stated_keys()
    others = {
        "up": set(UpConfiguration.__dataclass_fields__),
        "account": catalogue.account_keys(),
        "market making": set(MarketMakingParameters.__struct_fields__),
    }
    assert {name: keys & limits for name, keys in others.items()} == {name: set() for name in others}
    for path in ROOT.glob("src/**/*.toml"):
        if path.parent != PROFILE_DIR:
            assert not _keys(tomllib.loads(path.read_text())) & limits, path


def _keys(table: object) -> set[str]:
    if isinstance(table, dict):
        return set(table) | {key for value in table.values() for key in _keys(value)}
    return {key for one in table for key in _keys(one)} if isinstance(table, list) else set()


def test_a_raise_is_what_allows_more() -> None:
    assert is_looser("daily_loss_pct", "2", "3") and not is_looser("daily_loss_pct", "3", "2")
    assert is_looser("equity_cap_quote", "5", "none") and not is_looser("equity_cap_quote", "none", "5")
    assert is_looser("repeat_window_s", 10, 9) and not is_looser("repeat_window_s", 9, 10)


# ---- profiles ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", profile_names())
def test_a_shipped_profile_states_every_limit_and_contradicts_nothing(name: str) -> None:
    content = tomllib.loads((PROFILE_DIR / f"{name}.toml").read_text())
    assert set(content["limits"]) == set(Limits.__struct_fields__)
    assert load_profile(name).name == name


def dimensions(before: Limits, after: Limits) -> set[str]:
    first, second = flat(before), flat(after)
    changed = {key for key in {*first, *second} if first.get(key) != second.get(key)}
    return {"pairs" if key.startswith("symbols.") else DIMENSIONS.get(key, key) for key in changed}


def test_from_step_to_step_of_the_ramp_one_dimension_changes() -> None:
    profiles = [load_profile(name) for name in STEPS]
    found = [dimensions(one.limits, two.limits) for one, two in pairwise(profiles)]
    assert found == [{"size"}, {"pairs"}, {"capital"}, {"positions"}]
    assert all(one.account == two.account for one, two in pairwise(profiles))


def test_the_ramp_begins_with_the_amounts_that_the_criteria_name() -> None:
    first, seven, pairs, live, third = (load_profile(name).limits for name in STEPS)
    assert (first.max_order_notional_quote, first.max_positions_count, len(first.symbols)) == (5, 2, 1)
    assert (first.daily_loss_quote, first.max_position_notional_quote, first.total_loss_quote) == (10, 10, 30)
    assert first.equity_cap_quote == 200
    assert (seven.max_order_notional_quote, len(pairs.symbols)) == (7, 2)
    assert (live.daily_loss_quote, live.total_loss_quote, third.max_positions_count) == (20, 30, 3)


CONTRADICTIONS = [
    ("canary", {"max_strategy_loss_pct": '"6"'}, "max_strategy_loss_pct 6 is above daily_loss_pct 5.0"),
    ("canary", {"max_order_notional_quote": '"11"'}, "is above max_position_notional_quote"),
    ("canary", {"max_order_notional_quote": '"11"'}, "can never be reached"),
    ("paper", {"drawdown_reduce_only_pct": '"9"'}, "the drawdown ladder must ascend"),
    ("paper", {"drawdown_halt_pct": '"12"'}, "the drawdown ladder must ascend"),
    ("canary", {"equity_cap_quote": '"4"'}, "max_order_notional_quote 5.00 is above equity_cap_quote 4"),
    ("canary", {"daily_loss_quote": '"10.01"'}, "daily_loss_quote 10.01 can never be reached"),
    ("canary", {"total_loss_quote": '"9"'}, "daily_loss_quote 10.00 is above total_loss_quote 9"),
    ("paper", {"daily_loss_pct": '"16"'}, "daily_loss_pct 16 is above drawdown_halt_pct 15"),
    ("paper", {"max_position_notional_pct": '"21"'}, "is above max_cluster_exposure_pct"),
    ("paper", {"max_cluster_exposure_pct": '"51"'}, "is above max_gross_exposure_pct"),
    ("paper", {"max_net_exposure_pct": '"51"'}, "is above max_gross_exposure_pct"),
    ("paper", {"max_beta_btc_pct": '"51"'}, "is above max_gross_exposure_pct"),
    ("paper", {"max_gross_exposure_pct": '"101"'}, "is above max_leverage_x100"),
    ("paper", {"max_open_orders_symbol_count": "61"}, "is above max_open_orders_account_count"),
    ("paper", {"max_unattended_notional_quote": '"499"'}, "is above max_unattended_notional_quote"),
    ("paper", {"max_risk_to_stop_bps": '"201"'}, "is more than the whole daily_loss_pct"),
    ("paper", {"max_same_order_repeat_count": "101"}, "can never be reached"),
    ("paper", {"flatten_collar_bps": '"201"'}, "every slice of a flatten would be denied"),
    ("paper", {"flatten_participation_pct": '"101"'}, "is above 100"),
    ("paper", {"dead_man_s": "4"}, "outside 5..300"),
    ("canary", {"entry_cost_gate": '"report"'}, "must be 'enforce' where real money trades"),
    ("canary", {"total_loss_quote": '"none"'}, "must be a number where real money trades"),
    ("live-example", {"equity_cap_quote": '"none"'}, "must be a number where real money trades"),
]


def edited(name: str, tmp_path: Path, changes: dict[str, str]) -> Path:
    lines = (PROFILE_DIR / f"{name}.toml").read_text().splitlines()
    for key, value in changes.items():
        place = next(index for index, line in enumerate(lines) if line.startswith(f"{key} ="))
        lines[place] = f"{key} = {value}"
    path = tmp_path / "edited.toml"
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize(("name", "changes", "cause"), CONTRADICTIONS)
def test_a_contradiction_refuses(name: str, changes: dict[str, str], cause: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load_profile(edited(name, tmp_path, changes))
    assert any(cause in one for one in refused.value.causes)


def test_all_causes_are_named_at_once(tmp_path: Path) -> None:
    wrong = {"daily_loss_pct": "2.0", "max_spread_bps": '"x"', "entry_cost_gate": '"no"'}
    path = edited("paper", tmp_path, wrong)
    path.write_text(path.read_text().replace("max_leverage_x100", "max_leverage"))
    with pytest.raises(ConfigError) as refused:
        load_profile(path)
    text = "\n".join(refused.value.causes)
    for part in ("quoted decimal", "max_spread_bps", "entry_cost_gate", "max_leverage is not known",
                 "max_leverage_x100 is missing"):  # fmt: skip
        assert part in text
    path = edited("paper", tmp_path, {"daily_loss_pct": '"16"', "max_net_exposure_pct": '"51"'})
    with pytest.raises(ConfigError) as refused:
        load_profile(path)
    assert len(refused.value.causes) == 2


def test_a_file_without_symbols_or_of_another_environment_refuses(tmp_path: Path) -> None:
    path = edited("paper", tmp_path, {"environment": '"production"'})
    with pytest.raises(ConfigError, match="environment"):
        load_profile(path)
    path.write_text((PROFILE_DIR / "paper.toml").read_text().partition("[limits.symbols")[0])
    with pytest.raises(ConfigError, match="symbols is missing"):
        load_profile(path)
    path.write_text(path.read_text() + "[limits.symbols]\n")
    with pytest.raises(ConfigError, match="names no symbol"):
        load_profile(path)


def test_the_page_about_risk_is_written_from_the_catalogue() -> None:
    assert (ROOT / "docs" / "risk.md").read_text() == page()


def test_a_profile_is_plain_data() -> None:
    profile = load_profile("canary")
    assert msgspec.json.decode(msgspec.json.encode(profile), type=type(profile)) == profile
