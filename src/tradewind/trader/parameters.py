"""Parameters of strategies: typed, bounded, with a unit and a sentence; refused by name when they are wrong.

A strategy declares its parameters as a struct whose fields carry their bounds:

>>> class Pace(ParameterSet, frozen=True):
...     wait_s: Annotated[int, bounded(1, 600, unit="s", text="pause between two quotes")] = 30
>>> build(Pace, {"wait_s": 20}).wait_s
20

Types are `Decimal`, `int`, `bool`, `str` and `Literal[...]` of texts. Floats are refused: a decimal is
written as text or as an exact number. One table serves validation, the command line, the documentation and
the sweep of a back-test.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

import msgspec

MAX_PARAMETERS = 100
MAX_TEXT_CHARACTERS = 200
MAX_DIGITS = 38
PLAIN_DECIMAL = re.compile(r"-?\d+(\.\d+)?")
KINDS: dict[type, str] = {Decimal: "decimal", int: "int", bool: "bool", str: "text"}


class ParameterError(ValueError):
    """A strategy parameter that is unknown, of the wrong type, out of its bounds or in contradiction.

    `name` is the parameter, `bounds` what is allowed, `given` what came.
    """

    code = "ParameterError"

    def __init__(self, name: str, bounds: str, given: object, reason: str = "") -> None:
        self.name, self.bounds, self.given = name, bounds, given
        shown = str(given)[:MAX_TEXT_CHARACTERS]
        super().__init__(reason or f"{name} = {shown} is not allowed: {bounds}")


class Bounded(NamedTuple):
    """What stands behind the type of a parameter. Made by `bounded`."""

    low: Decimal | None
    high: Decimal | None
    unit: str
    text: str
    swept: bool


def bounded(
    low: int | str | Decimal | None = None,
    high: int | str | Decimal | None = None,
    *,
    text: str,
    unit: str = "",
    swept: bool = True,
) -> Bounded:
    """Declares one parameter: inclusive bounds (numbers only), unit and what it means.

    `swept=False` keeps it out of perturbation and sweeps (a date, an amount of money that is the operator's).
    """
    return Bounded(
        None if low is None else Decimal(low), None if high is None else Decimal(high), unit, text, swept
    )


class ParameterSet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the parameters of a strategy. Every field has a declaration and a default within its bounds."""

    def contradictions(self, environment: str) -> Iterable[tuple[str, str]]:
        """Rules between parameters: (name, what is wrong) of every broken one. Overridden where needed."""
        return ()

    def validate(self, environment: str) -> None:
        """Raises `ParameterError` naming the first parameter that is wrong, its bounds and its value."""
        for declaration in declarations(type(self)):
            declaration.check(getattr(self, declaration.name))
        for name, reason in self.contradictions(environment):
            raise ParameterError(name, reason, getattr(self, name, None), f"{name}: {reason}")


SetType = TypeVar("SetType", bound=ParameterSet)


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter: `kind` is decimal, int, bool, text or choice."""

    name: str
    kind: str
    default: Decimal | int | bool | str
    low: Decimal | None
    high: Decimal | None
    choices: tuple[str, ...]
    unit: str
    text: str
    swept: bool

    @property
    def bounds(self) -> str:
        """The bounds as people read them."""
        match self.kind:
            case "choice":
                return " or ".join(self.choices)
            case "bool":
                return "true or false"
            case "text":
                return f"text of at most {MAX_TEXT_CHARACTERS} characters"
        unit = f" {self.unit}" if self.unit else ""
        whole = "whole number, " if self.kind == "int" else ""
        return f"{whole}{_plain(self.low)}..{_plain(self.high)}{unit}"

    def read(self, given: object) -> Decimal | int | bool | str:
        """A value out of a configuration file or a command line. Raises `ParameterError`."""
        value = given
        if isinstance(given, str) and self.kind in {"decimal", "int", "bool"}:
            value = self._read_text(given)
        elif self.kind == "decimal" and isinstance(given, int) and not isinstance(given, bool):
            value = Decimal(given)
        self.check(value)
        assert isinstance(value, Decimal | int | bool | str)
        return value

    def _read_text(self, given: str) -> object:
        if self.kind == "bool":
            return {"true": True, "false": False}.get(given, given)
        if len(given) > MAX_DIGITS or not PLAIN_DECIMAL.fullmatch(given) or not given.isascii():
            return given
        if self.kind == "int":
            return given if "." in given else int(given)
        return Decimal(given)

    def check(self, value: object) -> None:
        """Raises `ParameterError` unless the value has the declared type and lies within the bounds."""
        if isinstance(value, float):
            hint = f'{self.bounds}; write it as text, for example {self.name} = "{self.default}"'
            raise ParameterError(self.name, hint, value)
        kind = {"decimal": Decimal, "int": int, "bool": bool}.get(self.kind, str)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ParameterError(self.name, self.bounds, value)
        if isinstance(value, Decimal | int) and not isinstance(value, bool):
            number = Decimal(value)
            assert self.low is not None and self.high is not None
            if not number.is_finite() or not self.low <= number <= self.high:
                raise ParameterError(self.name, self.bounds, value)
        elif isinstance(value, str):
            wrong_choice = self.kind == "choice" and value not in self.choices
            if wrong_choice or len(value) > MAX_TEXT_CHARACTERS:
                raise ParameterError(self.name, self.bounds, value)

    def moved(self, value: Decimal | int, factor: Decimal) -> Decimal | int:
        """The value times `factor`, kept within the bounds; a whole number moves by at least one step."""
        assert self.low is not None and self.high is not None
        product = Decimal(value) * factor
        if self.kind == "int":
            product = product.to_integral_value(ROUND_HALF_EVEN)
            if product == value and value and factor != 1:
                product += 1 if factor > 1 else -1
        kept = min(max(product, self.low), self.high)
        return int(kept) if self.kind == "int" else kept


@cache
def declarations(parameters: type[ParameterSet]) -> tuple[Declaration, ...]:
    """The declared parameters in their order. Raises `TypeError` for a declaration that is not complete."""
    hints = get_type_hints(parameters, include_extras=True)
    fields = msgspec.structs.fields(parameters)
    if len(fields) > MAX_PARAMETERS:
        raise TypeError(f"{parameters.__name__} has {len(fields)} parameters, at most {MAX_PARAMETERS}")
    found = []
    for field in fields:
        declaration = _declaration(parameters.__name__, field.name, hints[field.name], field.default)
        try:
            declaration.check(field.default)
        except ParameterError as error:
            raise TypeError(f"{parameters.__name__}: the default is wrong: {error}") from error
        found.append(declaration)
    return tuple(found)


def _declaration(owner: str, name: str, hint: Any, default: Any) -> Declaration:
    place = f"{owner}.{name}"
    if get_origin(hint) is not Annotated or not isinstance(hint.__metadata__[0], Bounded):
        raise TypeError(f"{place} has no bounded(...): write {name}: Annotated[TYPE, bounded(...)] = DEFAULT")
    limits: Bounded = hint.__metadata__[0]
    choices: tuple[str, ...] = ()
    if get_origin(hint.__origin__) is Literal:
        kind, choices = "choice", get_args(hint.__origin__)
        if not all(isinstance(choice, str) for choice in choices):
            raise TypeError(f"{place} must choose between texts")
    elif hint.__origin__ in KINDS:
        kind = KINDS[hint.__origin__]
    else:
        raise TypeError(f"{place} must be Decimal, int, bool, str or Literal of texts")
    numeric = kind in {"decimal", "int"}
    if numeric and (limits.low is None or limits.high is None or not limits.low <= limits.high):
        raise TypeError(f"{place} is a number and needs a lower and an upper bound")
    if default is msgspec.NODEFAULT:
        raise TypeError(f"{place} needs a default")
    return Declaration(
        name=name,
        kind=kind,
        default=default,
        low=limits.low,
        high=limits.high,
        choices=choices,
        unit=limits.unit,
        text=limits.text,
        swept=limits.swept and numeric,
    )


def build(
    parameters: type[SetType],
    values: Mapping[str, object],
    *,
    base: SetType | None = None,
    environment: str = "sim",
) -> SetType:
    """A validated set: `values` (from a file or a command line) over `base` or the defaults.

    Raises `ParameterError` for an unknown name (with the nearest known ones) or a wrong value.
    """
    known = {declaration.name: declaration for declaration in declarations(parameters)}
    for name in values:
        if name not in known:
            near = ", ".join(_nearest(name, known)) or "none is like it"
            raise ParameterError(
                name, f"no such parameter; nearest: {near}", values[name], f"no parameter {name!r}: {near}"
            )
    read: dict[str, Any] = {name: known[name].read(given) for name, given in values.items()}
    made = msgspec.structs.replace(base, **read) if base is not None else parameters(**read)
    made.validate(environment)
    return made


def _nearest(name: str, known: Iterable[str]) -> list[str]:
    from difflib import get_close_matches

    return get_close_matches(name, list(known), n=3)


def table(parameters: type[ParameterSet], chosen: ParameterSet | None = None) -> list[dict[str, str]]:
    """Rows for the command line and the documentation; with `chosen` its values beside the defaults."""
    rows = []
    for declaration in declarations(parameters):
        row = {"parameter": declaration.name, "default": as_text(declaration.default)}
        if chosen is not None:
            row["value"] = as_text(getattr(chosen, declaration.name))
        rows.append(row | {"bounds": declaration.bounds, "meaning": declaration.text})
    return rows


def as_text(value: object) -> str:
    """A value as a configuration file holds it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return _plain(value) if isinstance(value, Decimal) else str(value)


class Perturbation(NamedTuple):
    """One parameter moved by a factor, all others as they were."""

    name: str
    factor: Decimal
    parameters: ParameterSet


def perturbations(
    parameters: ParameterSet, share: Decimal = Decimal("0.2"), *, environment: str = "sim"
) -> list[Perturbation]:
    """Every numeric parameter once up and once down by `share` (T14.8: +-20 %), within its bounds.

    What does not change (zero, or at its bound already) and what would contradict another parameter is left
    out.
    """
    found = []
    for declaration in declarations(type(parameters)):
        if not declaration.swept:
            continue
        value = getattr(parameters, declaration.name)
        for factor in (1 - share, 1 + share):
            moved = declaration.moved(value, factor)
            changed = msgspec.structs.replace(parameters, **{declaration.name: moved})
            if moved != value and not list(changed.contradictions(environment)):
                found.append(Perturbation(declaration.name, factor, changed))
    return found


def _plain(value: Decimal | None) -> str:
    """Without exponent and trailing zeros."""
    if value is None:
        return "-"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
