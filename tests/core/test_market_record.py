"""The 520-byte record from Python: the published layout and the engine's code agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.cli.program import run
from tradewind.core import market_record
from tradewind.core.errors import TradewindError
from tradewind.core.market_record import (
    BASE_LAYOUT,
    NUMBER_LAYOUT,
    OVERFLOW_LAYOUT,
    RECORD_BYTES,
    check_layout,
    encode_by_layout,
    encode_number_by_layout,
    layout_size,
    market_record_decode,
    market_record_encode,
    read_records,
)
from tradewind.core.native import crc16

U64 = st.integers(0, 2**64 - 1)
I64 = st.integers(-(2**63), 2**63 - 1)
ID = st.binary(min_size=32, max_size=32)


@st.composite
def markets(draw: Any) -> dict[str, Any]:
    outcomes = draw(st.integers(2, 64))
    links = draw(st.lists(st.tuples(U64, I64), max_size=11))
    return {
        **{name: draw(ID) for name in ("market_id", "condition_id", "verse_id", "evidence_hash")},
        "resolution_id": draw(ID),
        "header_flags": draw(st.integers(0, 2**32 - 1)),
        "prices": draw(st.lists(U64, min_size=outcomes, max_size=outcomes)),
        "volumes": draw(st.lists(U64, min_size=outcomes, max_size=outcomes)),
        "liquidity": draw(U64),
        "settle_time_ns": draw(I64),
        "resolution_time_ns": draw(I64),
        "liquidation_accumulator": draw(U64),
        "links": links,
        "links_total": draw(st.integers(len(links), 2**16 - 1)),
        "winner": draw(st.sampled_from([0, outcomes - 1, 0xFE, 0xFF])),
        "amm_kind": draw(st.integers(0, 4)),
        "status": draw(st.integers(0, 7)),
        "pause_level": draw(st.integers(0, 3)),
        "halt_reasons": draw(st.integers(0, 2**16 - 1)) & 0x807F,
    }


@settings(max_examples=150, deadline=None)
@given(market=markets())
def test_the_layout_and_the_engine_write_the_same_bytes_and_read_them_back(market: dict[str, Any]) -> None:
    records = encode_by_layout(market)
    assert records == market_record_encode(market)
    assert market_record_decode(records) == market


@st.composite
def numbers(draw: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A number and the market that paid at it."""
    lower, upper = sorted(draw(st.lists(st.integers(-(2**52), 2**52), min_size=2, max_size=2, unique=True)))
    high = draw(st.integers(0, 1_000_000))
    number = {
        "market_id": draw(ID),
        "lower": lower,
        "upper": upper,
        **{name: draw(st.integers(1, 2**63 - 1)) for name in ("norm", "backing", "sigma")},
        "fees": draw(st.integers(0, 2**63 - 1)),
        "mean": draw(st.integers(lower, upper)),
        "value": draw(st.sampled_from([None, lower + (upper - lower) * high // 1_000_000])),
    }
    sides = {"prices": [high, 1_000_000 - high], "amm_kind": 4, "market_id": number["market_id"]}
    return number, {**example(2), **sides}


@settings(max_examples=150, deadline=None)
@given(both=numbers())
def test_a_number_is_read_back_behind_its_market_and_behind_no_other(
    both: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    number, market = both
    record = encode_number_by_layout(number)
    assert len(record) == layout_size(NUMBER_LAYOUT) == market_record.NUMBER_BYTES
    shown = {name: value for name, value in number.items() if name != "market_id"}
    plain = example(3)
    file = market_record_encode(plain) + market_record_encode(market) + record + market_record_encode(plain)
    assert list(read_records(file)) == [plain, {**market, "number": shown}, plain]
    other = bytes([market["market_id"][0] ^ 1, *market["market_id"][1:]])
    wrong = {
        "DERIVED_ID_MISMATCH": market_record_encode({**market, "market_id": other}) + record,
        "INVALID_AMM_KIND": market_record_encode({**market, "amm_kind": 0}) + record,
        "INVALID_RECORD_LENGTH": market_record_encode(market) + record[:-1],
        "CHECKSUM_MISMATCH": market_record_encode(market) + record[:-1] + bytes([record[-1] ^ 1]),
    }
    for code, data in wrong.items():
        with pytest.raises(TradewindError) as refused:
            list(read_records(data))
        assert refused.value.name == code


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=600))
def test_both_checksums_are_one(data: bytes) -> None:
    assert market_record.crc16(data) == crc16(data)


def test_the_checksum_has_its_golden_values() -> None:
    assert market_record.crc16(b"123456789") == crc16(b"123456789") == 0x29B1
    assert market_record.crc16(bytes(518)) == crc16(bytes(518)) == 0x128D


def test_the_import_refuses_a_layout_that_is_not_the_engines() -> None:
    assert layout_size(BASE_LAYOUT) == layout_size(OVERFLOW_LAYOUT) == RECORD_BYTES
    longer = [(name, at, "33s" if name == "verse_id" else form) for name, at, form in BASE_LAYOUT]
    with pytest.raises(ImportError, match="520 bytes"):
        check_layout(market_record.BASE, longer)
    renamed = [("volume" if name == "volumes" else name, at, form) for name, at, form in BASE_LAYOUT]
    with pytest.raises(ImportError, match="not the engine's"):
        check_layout(market_record.BASE, renamed)


def example(outcomes: int) -> dict[str, Any]:
    blank = dict.fromkeys(("header_flags", "liquidity", "settle_time_ns", "resolution_time_ns"), 0)
    names = ("market_id", "condition_id", "verse_id", "evidence_hash", "resolution_id")
    return {
        **blank,
        **dict.fromkeys(names, bytes(32)),
        **dict.fromkeys(("liquidation_accumulator", "links_total", "amm_kind", "status"), 0),
        "prices": [1_000_000 // outcomes] * outcomes,
        "volumes": [0] * outcomes,
        "links": [],
        "winner": 0xFF,
        "pause_level": 0,
        "halt_reasons": 0,
    }


@pytest.mark.parametrize("outcomes", [0, 1, 65])
def test_a_market_of_too_few_or_too_many_outcomes_is_refused_by_name(outcomes: int) -> None:
    market = {**example(2), "prices": [0] * outcomes, "volumes": [0] * outcomes}
    with pytest.raises(TradewindError) as refused:
        market_record_encode(market)
    assert (refused.value.name, refused.value.given) == ("INVALID_OUTCOME_COUNT", outcomes)


def test_a_missing_or_overlong_field_is_named() -> None:
    market = example(2)
    with pytest.raises(KeyError, match="liquidity"):
        market_record_encode({name: value for name, value in market.items() if name != "liquidity"})
    with pytest.raises(ValueError, match="market_id: 32 bytes, not 31"):
        market_record_encode({**market, "market_id": bytes(31)})
    with pytest.raises((ValueError, OverflowError)):
        market_record_encode({**market, "liquidity": 2**64})


def test_an_archive_of_several_markets_is_shown_and_damage_ends_with_its_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = b"".join(market_record_encode(example(outcomes)) for outcomes in (2, 20, 64))
    assert [len(market["prices"]) for market in read_records(whole)] == [2, 20, 64]
    file = tmp_path / "archive"
    file.write_bytes(whole)
    assert run(["record", "show", str(file)]) == 0
    assert "0.500000" in capsys.readouterr().out
    file.write_bytes(whole[:100] + b"\1" + whole[101:])
    assert run(["record", "show", str(file), "--json"]) != 0
    assert "CHECKSUM_MISMATCH" in capsys.readouterr().out
    file.write_bytes(whole[:-1])
    assert run(["record", "show", str(file)]) != 0
    assert "INVALID_RECORD_LENGTH" in capsys.readouterr().err
    assert run(["record", "show", str(tmp_path / "none")]) != 0
