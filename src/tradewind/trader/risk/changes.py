"""Changes of limits (T11.8): lowering is immediate; raising needs two people, waits an hour, and then until
no position is open in its scope. What waits survives a restart.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import msgspec

from .catalogue import BY_KEY, is_looser
from .profile import ConfigError, Limits, SymbolLimits
from .records import LimitChange

RAISE_DELAY_NS: Final = 3_600 * 10**9
MAX_WAITING: Final = 256
SYMBOL_KEYS: Final = SymbolLimits.__struct_fields__


class LimitsRefused(ValueError):
    """A change of limits that may not be made: one person only, without a reason, or too many wait."""

    code = "LimitsRefused"


class LimitBook:
    """The limits in force, and the raises that wait. Its records, applied again, give the same book."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.waiting: dict[str, LimitChange] = {}

    def restart(self, stated: Limits, remembered: dict[str, str] | None) -> list[str]:
        """The limits after a restart with a file that says `stated`, when `remembered` was in force before:
        what the file lowers counts, what it raises stays as it was until two people ask for it. Returns the
        keys that stay.
        """
        if remembered is None:
            self.limits = stated
            return []
        kept, limits = [], stated
        for key, after in flat(stated).items():
            before = remembered.get(key)
            if (
                before is not None
                and before != after
                and is_looser(_plain(key), _value(before), _value(after))
            ):
                kept.append(key)
                limits = with_value(limits, key, before)
        self.limits = limits
        return kept

    def ask(self, after: Limits, *, actor: str, second: str, reason: str, now_ns: int) -> list[LimitChange]:
        """Change to these limits: what is tighter at once, what is looser in an hour. Returns the records.
        Raises `LimitsRefused`; then nothing has changed.
        """
        if not reason.strip():
            raise LimitsRefused("a change of limits needs a reason")
        now_in_force, wanted = flat(self.limits), flat(after)
        changed = [key for key in wanted if now_in_force.get(key) != wanted[key]]
        gone = [key for key in now_in_force if key not in wanted]
        raised = [key for key in changed if _raises(key, now_in_force.get(key), wanted[key])]
        if raised and (not second.strip() or second.strip().casefold() == actor.strip().casefold()):
            raise LimitsRefused(f"raising {', '.join(raised)} needs a second, different person")
        if len(self.waiting) + len(raised) > MAX_WAITING:
            raise LimitsRefused(f"more than {MAX_WAITING} changes wait")
        records = []
        for key in [*changed, *gone]:
            late = key in raised
            records.append(
                LimitChange(
                    key=key, before=now_in_force.get(key, ""), after=wanted.get(key, ""), actor=actor,
                    second=second, reason=reason, asked_ns=now_ns,
                    effective_ns=now_ns + RAISE_DELAY_NS if late else now_ns,
                    applied_ns=0 if late else now_ns,
                )
            )  # fmt: skip
        for record in records:
            self.apply(record)
        return records

    def due(self, now_ns: int, is_open: Callable[[str | None], bool]) -> list[LimitChange]:
        """Raises whose hour is over and in whose scope no position is open come in force. `is_open` says so
        of a symbol, or of the account (None). Returns the records.
        """
        records = []
        for change in list(self.waiting.values()):
            if now_ns >= change.effective_ns and not is_open(symbol_of(change.key)):
                record = msgspec.structs.replace(change, applied_ns=now_ns)
                self.apply(record)
                records.append(record)
        return records

    def apply(self, record: LimitChange) -> None:
        """Fold one record into the book (recovery)."""
        if not record.applied_ns:
            self.waiting[record.key] = record
            return
        self.waiting.pop(record.key, None)
        self.limits = with_value(self.limits, record.key, record.after)

    # ---- checkpoint ----------------------------------------------------------------------------------

    def remembered(self) -> dict[str, str]:
        """The limits in force as text by key, for the next start."""
        return flat(self.limits)


def flat(limits: Limits) -> dict[str, str]:
    """Every limit as text by key; those of a symbol as `symbols.NAME.key`."""
    result = {name: _text(getattr(limits, name)) for name in limits.__struct_fields__ if name != "symbols"}
    for symbol, table in limits.symbols.items():
        for key in SYMBOL_KEYS:
            result[f"symbols.{symbol}.{key}"] = _text(getattr(table, key))
    return result


def with_value(limits: Limits, key: str, text: str) -> Limits:
    """The same limits with one other value; an empty text takes a symbol off the list.

    Raises `ConfigError` for a key that is no limit.
    """
    symbol = symbol_of(key)
    if symbol is not None:
        symbols = dict(limits.symbols)
        if text:
            symbols[symbol] = SymbolLimits(max_order_qty_base=Decimal(text))
        else:
            symbols.pop(symbol, None)
        return msgspec.structs.replace(limits, symbols=symbols)
    if key not in BY_KEY:
        raise ConfigError(f"{key} is no limit")
    kind = {field.name: field.type for field in msgspec.structs.fields(Limits)}[key]
    value: Any = None if text == "none" else msgspec.convert(int(text) if kind is int else text, kind)
    return msgspec.structs.replace(limits, **{key: value})


def symbol_of(key: str) -> str | None:
    """The symbol whose table a key stands in; None for the account's."""
    return key.removeprefix("symbols.").rpartition(".")[0] if key.startswith("symbols.") else None


def _plain(key: str) -> str:
    return key.rpartition(".")[2]


def _raises(key: str, before: str | None, after: str) -> bool:
    """A symbol that was not on the list before is a raise too."""
    return before is None or is_looser(_plain(key), _value(before), _value(after))


def _value(text: str) -> str | Decimal:
    return text if text in ("none", "enforce", "report") else Decimal(text)


def _text(value: Any) -> str:
    return "none" if value is None else str(value)
