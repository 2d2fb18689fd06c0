"""Parameters are typed and bounded; what is wrong is refused by name; perturbed values stay inside."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.trader.parameters import (
    ParameterError,
    ParameterSet,
    bounded,
    build,
    declarations,
    perturbations,
    table,
)


class Some(ParameterSet, frozen=True):
    width_bps: Annotated[Decimal, bounded("0.5", 50, unit="bps", text="distance")] = Decimal(10)
    layers: Annotated[int, bounded(1, 5, text="quotes a side")] = 3
    both: Annotated[bool, bounded(text="both sides")] = True
    mode: Annotated[Literal["enforce", "report"], bounded(text="what the gate does")] = "enforce"
    label: Annotated[str, bounded(text="a name")] = ""
    most_bps: Annotated[Decimal, bounded(1, 50, unit="bps", text="the widest", swept=False)] = Decimal(50)

    def contradictions(self, environment: str) -> Iterable[tuple[str, str]]:
        if self.width_bps > self.most_bps:
            yield "width_bps", "is above most_bps"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width_bps", Decimal("0.49")),
        ("width_bps", "50.1"),
        ("width_bps", Decimal("NaN")),
        ("width_bps", Decimal("Infinity")),
        ("width_bps", "1e1"),
        ("width_bps", "1,5"),
        ("width_bps", ""),
        ("width_bps", "١٢"),
        ("width_bps", 10.0),
        ("width_bps", True),
        ("width_bps", None),
        ("layers", 0),
        ("layers", 6),
        ("layers", "2.0"),
        ("layers", True),
        ("layers", Decimal(2)),
        ("both", "yes"),
        ("both", 1),
        ("mode", "off"),
        ("mode", None),
        ("label", "x" * 201),
        ("label", 7),
    ],
)
def test_what_is_out_of_type_or_bounds_is_refused_with_name_bounds_and_value(
    name: str, value: object
) -> None:
    with pytest.raises(ParameterError) as refused:
        build(Some, {name: value})
    assert (refused.value.name, str(refused.value.given)) == (name, str(value))
    assert refused.value.bounds
    assert name in str(refused.value)
    direct = msgspec.structs.replace(Some(), **{name: value})
    if not isinstance(value, str) or name in {"mode", "label"}:
        with pytest.raises(ParameterError):
            direct.validate("sim")


def test_bounds_themselves_are_allowed_and_texts_are_read() -> None:
    made = build(Some, {"width_bps": "0.5", "layers": "5", "both": "false", "mode": "report"})
    assert made == Some(width_bps=Decimal("0.5"), layers=5, both=False, mode="report")
    assert build(Some, {"width_bps": 50}, base=made).layers == 5


def test_an_unknown_name_is_refused_with_the_nearest_ones() -> None:
    with pytest.raises(ParameterError, match="width_bps"):
        build(Some, {"width_bp": 10})


def test_parameters_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ParameterError, match="above most_bps"):
        build(Some, {"width_bps": 20, "most_bps": 10})


def test_a_declaration_without_bounds_unit_or_fitting_default_is_a_programming_error() -> None:
    class Bare(ParameterSet, frozen=True):
        width: Decimal = Decimal(1)

    class Open(ParameterSet, frozen=True):
        width: Annotated[Decimal, bounded(1, text="no upper bound")] = Decimal(1)

    class Outside(ParameterSet, frozen=True):
        width: Annotated[Decimal, bounded(1, 2, text="default beyond")] = Decimal(3)

    class Needed(ParameterSet, frozen=True):
        width: Annotated[Decimal, bounded(1, 2, text="no default")]

    class Odd(ParameterSet, frozen=True):
        width: Annotated[list[int], bounded(text="a list")] = msgspec.field(default_factory=list)

    for wrong, message in (
        (Bare, "has no bounded"),
        (Open, "lower and an upper"),
        (Outside, "default is wrong"),
        (Needed, "needs a default"),
        (Odd, "must be Decimal"),
    ):
        with pytest.raises(TypeError, match=message):
            declarations(wrong)


def test_the_table_shows_every_parameter_with_its_bounds_and_meaning() -> None:
    rows = table(Some, Some(layers=4))
    assert [row["parameter"] for row in rows] == ["width_bps", "layers", "both", "mode", "label", "most_bps"]
    assert rows[0]["bounds"] == "0.5..50 bps"
    assert rows[1]["value"] == "4"
    assert rows[3]["bounds"] == "enforce or report"
    assert all(row["meaning"] for row in rows)


@given(
    width=st.decimals(min_value="0.5", max_value=50, places=3),
    layers=st.integers(1, 5),
    share=st.decimals(min_value="0.01", max_value="0.9", places=2),
)
def test_a_perturbed_set_moves_one_swept_parameter_and_stays_valid(
    width: Decimal, layers: int, share: Decimal
) -> None:
    chosen = Some(width_bps=width, layers=layers)
    for name, factor, moved in perturbations(chosen, share):
        moved.validate("sim")
        before, after = getattr(chosen, name), getattr(moved, name)
        assert name in {"width_bps", "layers"}
        assert (after > before) is (factor > 1)
        assert msgspec.structs.replace(moved, **{name: before}) == chosen


def test_a_perturbation_at_a_bound_is_left_out_and_a_whole_number_moves_by_one_at_least() -> None:
    moves = {(name, factor > 1): value for name, factor, value in perturbations(Some(width_bps=Decimal(50)))}
    assert ("width_bps", True) not in moves
    assert moves["layers", False].layers == 2  # type: ignore[attr-defined]
    assert moves["layers", True].layers == 4  # type: ignore[attr-defined]
