"""What `up` refuses before it opens anything, and what the parsers take."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from tradewind.config import (
    ConfigurationRefused,
    UpConfiguration,
    check,
    check_environment,
    parse_cash,
    parse_duration_s,
    parse_speed,
    write_effective,
)

from .conftest import tradewind


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5m", 300), ("1h30m", 5_400), ("500ms", 0.5), ("1.5h", 5_400), ("2d", 172_800)],
)
def test_durations_are_numbers_with_units(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "90", "s", "-5m", "5 m", "0s", "1e3s", "nan s", "1y", "5m garbage", "400d", "٣s"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        parse_duration_s(text)
    assert refused.value.code == "BAD_DURATION"


def test_starting_funds_are_amounts_with_assets() -> None:
    assert parse_cash(["10000 USDT", "0.5 BTC"]) == {"USDT": Decimal(10_000), "BTC": Decimal("0.5")}


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["USDT"],
        ["10000"],
        ["-1 USDT"],
        ["0 USDT"],
        ["1e3 USDT"],
        ["NaN USDT"],
        ["1 usdt"],
        ["1 US DT"],
        ["0.0000001 USDT"],
        ["1,000 USDT"],
        ["1 USDT", "2 USDT"],
        [f"1 A{n}" for n in range(17)],
    ],
)
def test_what_is_no_money_is_refused(lines: list[str]) -> None:
    with pytest.raises(ConfigurationRefused):
        parse_cash(lines)


@pytest.mark.parametrize("speed", [-1.0, float("nan"), float("inf"), 1e9])
def test_impossible_speeds_are_refused(speed: float) -> None:
    with pytest.raises(ConfigurationRefused):
        parse_speed(speed)
    assert parse_speed(0) is None


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"env": "production"}, "UNKNOWN_VALUE"),
        ({"feed": "magic"}, "UNKNOWN_VALUE"),
        ({"strategy": "x"}, "UNKNOWN_VALUE"),
        ({"venue": "x"}, "UNKNOWN_VALUE"),
        ({"parameters": "x"}, "UNKNOWN_VALUE"),
        ({"symbol": "BTC"}, "BAD_SYMBOL"),
        ({"port": 70_000}, "BAD_PORT"),
        ({"port": -1}, "BAD_PORT"),
        ({"feed": "replay"}, "NO_RECORDING"),
        ({"replay": (Path("/absent.gz"),)}, "NO_RECORDING"),
        ({"symbol": "BTC/EUR"}, "BAD_CASH"),
        ({"feed": "generated", "replay": (Path("x.gz"),)}, "CONFIG_CONFLICT"),
        ({"speed": 10.0}, "SPEED_NEEDS_SIM"),
    ],
)
def test_contradictions_are_refused_by_name(change: dict[str, object], code: str) -> None:
    good = {"cash": {"USDT": Decimal(1)}}
    check(UpConfiguration(**good))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationRefused) as refused:
        check(UpConfiguration(**{**good, **change}))  # type: ignore[arg-type]
    assert refused.value.code == code


@pytest.mark.parametrize("env", ["testnet", "canary", "live"])
def test_no_environment_above_paper_starts_without_its_certificate(env: str, tmp_path: Path) -> None:
    ran = tradewind("up", "--env", env, "--data", str(tmp_path / "d"), "--port", "0", "--json")
    assert ran.code == 78
    error = ran.json["error"]
    assert error["code"] == "NO_CERTIFICATE"
    assert any("certificate" in cause and env in cause for cause in error["cause"])
    assert not (tmp_path / "d").exists(), "nothing was opened and no key was made"


def test_a_file_that_claims_to_be_a_certificate_opens_nothing(tmp_path: Path) -> None:
    (tmp_path / "certificates").mkdir()
    (tmp_path / "certificates" / "live.json").write_text("{}")
    with pytest.raises(ConfigurationRefused) as refused:
        check_environment(UpConfiguration(env="live", data=tmp_path))
    assert "cannot be verified" in refused.value.causes[0]


def test_a_candidate_start_says_that_it_is_not_built(tmp_path: Path) -> None:
    ran = tradewind("up", "--env", "testnet", "--candidate", "--data", str(tmp_path / "d"), "--json")
    assert (ran.code, ran.json["error"]["code"]) == (78, "CANDIDATE_NOT_BUILT")


def test_a_recording_that_is_none_is_refused_and_the_data_is_left_in_order(tmp_path: Path) -> None:
    (tmp_path / "noise.gz").write_bytes(b"not a capture")
    options = (
        "--data",
        str(tmp_path / "d"),
        "--port",
        "0",
        "--feed",
        "replay",
        "--replay",
        str(tmp_path / "noise.gz"),
    )
    ran = tradewind("up", *options)
    assert ran.code == 78, ran
    assert "FEED_UNAVAILABLE" in ran.err
    assert tradewind("journal", "verify", "--data", str(tmp_path / "d")).code == 0


def test_the_effective_configuration_is_left_for_the_evidence(tmp_path: Path) -> None:
    one = UpConfiguration(data=tmp_path, cash={"USDT": Decimal("10.50")}, speed=1.0, for_s=90.0)
    write_effective(tmp_path, one)
    content = json.loads((tmp_path / "effective-config.json").read_text())
    assert content["cash"] == {"USDT": "10.50"}
    assert (content["env"], content["speed"], content["duration"]) == ("paper", "1.0", "90.0")
