"""Series: nothing torn is believed, nothing whole is lost, nothing grows without bound."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.trader.campaign.series import (
    Series,
    SeriesDamaged,
    SeriesFull,
    decode_series,
    encode_line,
    read_series,
    write_atomically,
)

LINES = st.lists(st.dictionaries(st.text(max_size=4), st.integers()), max_size=6)


@given(LINES, st.integers(0, 200))
def test_any_cut_leaves_the_whole_lines_before_it(lines: list[dict[str, int]], cut: int) -> None:
    content = b"".join(encode_line(one) for one in lines)
    found = list(decode_series(content[:cut], "x"))
    assert found == lines[: len(found)]
    whole = [i for i in range(len(lines) + 1) if sum(len(encode_line(x)) for x in lines[:i]) <= cut]
    assert len(found) == max(whole)


@given(LINES.filter(lambda one: len(one) > 1), st.data())
def test_a_flipped_byte_before_the_last_line_is_damage(lines: list[dict[str, int]], data) -> None:
    content = bytearray(b"".join(encode_line(one) for one in lines))
    inner = len(content) - len(encode_line(lines[-1])) - 2
    place = data.draw(st.integers(0, inner))
    content[place] ^= 0x01
    with pytest.raises(SeriesDamaged):
        list(decode_series(bytes(content), "x"))


def test_a_torn_tail_is_cut_when_the_series_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "s"
    series = Series(path, 1_000)
    series.append({"a": 1})
    series.close()
    with path.open("ab") as file:
        file.write(encode_line({"a": 2})[:-3])
    series = Series(path, 1_000)
    assert series.cut_bytes > 0
    series.append({"a": 3})
    series.close()
    assert list(read_series(path)) == [{"a": 1}, {"a": 3}]


def test_damage_in_the_middle_refuses_to_open(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_bytes(b"garbage\n" + encode_line({"a": 2}))
    with pytest.raises(SeriesDamaged):
        Series(path, 1_000)


def test_a_full_series_says_so_and_takes_no_more(tmp_path: Path) -> None:
    series = Series(tmp_path / "s", 40)
    series.append({"a": 1})
    with pytest.raises(SeriesFull):
        series.append({"a": "x" * 40})
    assert series.full
    series.close()
    assert list(read_series(tmp_path / "s")) == [{"a": 1}]


def test_a_line_is_readable_by_others_before_it_is_synced(tmp_path: Path) -> None:
    series = Series(tmp_path / "s", 1_000)
    series.append({"a": 1})
    assert list(read_series(tmp_path / "s")) == [{"a": 1}]


def test_an_atomic_write_leaves_no_other_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "x", b"1")
    write_atomically(tmp_path / "x", b"2")
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("x", b"2")]
