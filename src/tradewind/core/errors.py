"""Exceptions of the platform, generated from the error catalogue of the engine.

Every code has a class of its own, reachable by attribute, number or name:

    errors.TickMisaligned, errors.BY_CODE[2106], errors.BY_NAME["TICK_MISALIGNED"]

All of them derive from `Rejected`, and that from `TradewindError`, the base of the journal's errors too.
"""

from __future__ import annotations

from tradewind._core import (
    EngineStopped,
    InvalidGenesis,
    InvariantBroken,
    JournalCorrupt,
    JournalFailure,
    JournalIo,
    JournalLocked,
    JournalNoSpace,
    MalformedFrame,
    ReplayMismatch,
    TradewindError,
    error_catalogue,
    error_message,
)

__all__ = [
    "BY_CODE",
    "BY_NAME",
    "EngineStopped",
    "FloatMoney",
    "InvalidField",
    "InvalidGenesis",
    "InvariantBroken",
    "JournalCorrupt",
    "JournalFailure",
    "JournalIo",
    "JournalLocked",
    "JournalNoSpace",
    "MalformedFrame",
    "Rejected",
    "ReplayMismatch",
    "TradewindError",
    "message_of",
    "name_of",
    "reject",
]


class Rejected(TradewindError):
    """A refusal that changed nothing.

    Attributes:
        code, name, http_status, retryable: the catalogue's entry.
        bound: what was violated; given: the value that violated it (both 0 where none applies).
    """

    template = ""
    code: int = 0

    def __init__(self, message: str = "", *, bound: int = 0, given: int = 0) -> None:
        super().__init__(message or error_message(self.code, bound, given))
        self.bound, self.given = bound, given

    @property
    def message(self) -> str:
        """The sentence with its values."""
        return str(self.args[0])

    def __reduce__(self) -> tuple[object, tuple[int, int, int]]:
        return reject, (self.code, self.bound, self.given)


def _class_name(name: str) -> str:
    """`TICK_MISALIGNED` → `TickMisaligned`."""
    return "".join(part.capitalize() for part in name.split("_"))


def _classes() -> dict[int, type[Rejected]]:
    classes = {}
    for number, name, http_status, retryable, template in error_catalogue():
        fields = {
            "code": number,
            "name": name,
            "http_status": http_status,
            "retryable": retryable,
            "template": template,
            "__doc__": template,
            "__module__": __name__,
        }
        classes[number] = type(_class_name(name), (Rejected,), fields)
    return classes


BY_CODE: dict[int, type[Rejected]] = _classes()
BY_NAME: dict[str, type[Rejected]] = {entry.name: entry for entry in BY_CODE.values()}
_BY_CLASS_NAME = {entry.__name__: entry for entry in BY_CODE.values()}


def __getattr__(name: str) -> type[Rejected]:
    """`errors.TickMisaligned`: the class of a code.

    Raises:
        AttributeError: the catalogue has no such code.
    """
    found = _BY_CLASS_NAME.get(name)
    if found is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return found


def reject(code: int | str, bound: int = 0, given: int = 0) -> Rejected:
    """The exception for a code number or name.

    Raises:
        KeyError: the catalogue has no such code.
    """
    entry = BY_CODE[code] if isinstance(code, int) else BY_NAME[code]
    return entry(bound=bound, given=given)


def name_of(code: int) -> str:
    """Name of a code; empty for 0, which stands for "accepted"."""
    entry = BY_CODE.get(code)
    return "" if entry is None else entry.name


def message_of(code: int, bound: int = 0, given: int = 0) -> str:
    """Sentence of a code with its values; empty for 0."""
    return error_message(code, bound, given)


class InvalidField(Rejected):
    """A value does not fit its field of a record.

    Attributes:
        record, field: the place; given: the value when it is a number.
    """

    code = BY_NAME["PARAMETER_OUT_OF_BOUNDS"].code
    name = "PARAMETER_OUT_OF_BOUNDS"
    http_status = 422

    def __init__(self, record: str, field: str, value: object, rule: str) -> None:
        given = value if isinstance(value, int) else 0
        super().__init__(f"{record}.{field}: {value!r} does not fit ({rule})", given=given)
        self.record, self.field = record, field


class FloatMoney(TradewindError, TypeError):
    """A binary floating-point number was given where money, a price or a size belongs."""

    name = "FLOAT_MONEY"
    http_status = 422
