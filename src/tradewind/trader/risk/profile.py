"""Risk limits as a typed profile (T1.6, T11.3). No limit has a built-in default: a profile states every one
of them.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal

import msgspec

from .contradictions import MAX_VALUE, contradictions

PROFILE_DIR = Path(__file__).parent.parent / "profiles"
MAX_PROFILE_BYTES = 65_536
MAX_CAUSES = 100
NONE_ALLOWED = ("equity_cap_quote", "daily_loss_quote", "total_loss_quote", "max_position_notional_quote")
"""Limits that may say "none", each because another one bounds the same thing as a part of equity."""


class ConfigError(ValueError):
    """A profile with missing, unknown, malformed or contradicting values; all causes are named."""

    code = "ConfigError"

    def __init__(self, *causes: str) -> None:
        super().__init__("; ".join(causes))
        self.causes = causes


class ConfigConflict(ConfigError):
    """One limit is stated by two sources."""

    code = "ConfigConflict"


class SymbolLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of one symbol."""

    max_order_qty_base: Decimal


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every limit of T11.3. Percentages are of marked equity, money in the account currency; what each means
    stands in `catalogue`.

    None stands for the word "none" (see `NONE_ALLOWED`). Where a limit is stated in money and as a part of
    equity, the tighter one holds.
    """

    symbols: dict[str, SymbolLimits]
    max_order_notional_quote: Decimal
    price_collar_bps: Decimal
    max_position_notional_pct: Decimal
    max_position_notional_quote: Decimal | None
    max_risk_to_stop_bps: Decimal
    max_gross_exposure_pct: Decimal
    max_net_exposure_pct: Decimal
    max_positions_count: int
    max_open_orders_symbol_count: int
    max_open_orders_account_count: int
    max_messages_per_s: int
    max_same_order_repeat_count: int
    repeat_window_s: int
    daily_loss_pct: Decimal
    daily_loss_quote: Decimal | None
    drawdown_warn_pct: Decimal
    drawdown_half_size_pct: Decimal
    drawdown_reduce_only_pct: Decimal
    drawdown_halt_pct: Decimal
    max_strategy_loss_pct: Decimal
    max_cluster_exposure_pct: Decimal
    max_beta_btc_pct: Decimal
    max_leverage_x100: int
    max_participation_pct: Decimal
    max_spread_bps: Decimal
    max_venue_equity_pct: Decimal
    max_order_age_at_risk_ms: int
    max_unattended_notional_quote: Decimal
    max_market_age_ms: int
    max_balance_age_ms: int
    max_denials_per_minute_count: int
    equity_cap_quote: Decimal | None
    total_loss_quote: Decimal | None
    entry_cost_gate: Literal["enforce", "report"]


class Account(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The account that the limits belong to. `dual_control_quote`: with more equity than this the resets of
    T11.4 need two people.
    """

    currency: str
    dead_man: Literal["timer", "stops"]
    dead_man_s: int
    on_halt: Literal["hold", "flatten"]
    max_intent_age_ms: int
    resume_cooldown_s: int
    dual_control_quote: Decimal
    flatten_collar_bps: Decimal
    flatten_participation_pct: Decimal
    flatten_interval_ms: int


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named risk profile."""

    name: str
    environment: Literal["sim", "paper", "testnet", "canary", "live"]
    account: Account
    limits: Limits
    hash: str


def load_profile(name_or_path: str | Path, overlay: str | Path | None = None) -> Profile:
    """The profile with this name, or from this file, optionally joined with a second file of *other* keys.

    Raises `ConfigError` with all causes: missing and unknown keys, floats, NaN, values out of range, limits
    that contradict each other; `ConfigConflict` when both files state the same key.
    """
    content = _read(Path(name_or_path))
    if overlay is not None:
        content = _join(content, _read(Path(overlay)), "")
    causes = list(_shape(content, Profile, ""))
    if causes:
        raise ConfigError(*[f"{name_or_path}: {cause}" for cause in causes[:MAX_CAUSES]])
    digest = hashlib.blake2b(msgspec.json.encode(content, order="deterministic"), digest_size=16).hexdigest()
    limits = {
        key: None if key in NONE_ALLOWED and value == "none" else value
        for key, value in content["limits"].items()
    }
    profile = msgspec.convert({**content, "limits": limits, "hash": digest}, Profile)
    causes = list(_ranges(profile)) or contradictions(profile)
    if causes:
        raise ConfigError(*[f"{name_or_path}: {cause}" for cause in causes[:MAX_CAUSES]])
    return profile


def profile_names() -> list[str]:
    """Names of the shipped profiles."""
    return sorted(path.stem for path in PROFILE_DIR.glob("*.toml"))


class _Float:
    """A float of the file, kept as its text so that it can be refused with its place."""

    def __init__(self, text: str) -> None:
        self.text = text


def _read(path: Path) -> dict[str, Any]:
    if path.suffix != ".toml":
        path = PROFILE_DIR / f"{path}.toml"
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"no risk profile {path}") from None
    if len(raw) > MAX_PROFILE_BYTES:
        raise ConfigError(f"{path.name} has {len(raw)} bytes, at most {MAX_PROFILE_BYTES} are read")
    try:
        content = tomllib.loads(raw.decode(), parse_float=_Float)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name}: {error}") from error
    return content


def _join(first: dict[str, Any], second: dict[str, Any], where: str) -> dict[str, Any]:
    joined = dict(first)
    for key, value in second.items():
        name = f"{where}{key}"
        if key not in first:
            joined[key] = value
        elif isinstance(value, dict) and isinstance(first[key], dict):
            joined[key] = _join(first[key], value, f"{name}.")
        else:
            raise ConfigConflict(f"{name} is stated twice")
    return joined


def _shape(content: dict[str, Any], kind: type[msgspec.Struct], where: str) -> Iterator[str]:
    """Causes why the content is not of this kind: keys first, then each value's own type."""
    fields = {field.name: field for field in msgspec.structs.fields(kind) if field.name != "hash"}
    for key in content.keys() - fields.keys():
        yield f"{where}{key} is not known"
    for name, field in fields.items():
        if name not in content:
            yield f"{where}{name} is missing"
            continue
        value, place = content[name], f"{where}{name}"
        if name in ("account", "limits") and isinstance(value, dict):
            yield from _shape(value, Account if name == "account" else Limits, f"{place}.")
        elif name == "symbols" and isinstance(value, dict):
            yield from _symbols(value, place)
        else:
            yield from _value(value, field.type, place)


def _symbols(content: dict[str, Any], place: str) -> Iterator[str]:
    if not content:
        yield f"{place} names no symbol"
    for symbol, table in content.items():
        if isinstance(table, dict):
            yield from _shape(table, SymbolLimits, f"{place}.{symbol}.")
        else:
            yield f"{place}.{symbol} must be a table"


def _value(value: Any, kind: Any, place: str) -> Iterator[str]:
    if isinstance(value, _Float):
        yield f"{place}: write {value.text} as a quoted decimal, a limit is never a float"
        return
    optional = place.rpartition(".")[2] in NONE_ALLOWED
    if optional and value == "none":
        return
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        yield f"{place}: {error}{', or the word none' if optional else ''}"
    except InvalidOperation:
        yield f"{place}: not a number"


def _ranges(profile: Profile) -> Iterator[str]:
    tables: list[tuple[str, msgspec.Struct]] = [("limits", profile.limits), ("account", profile.account)]
    tables += [(f"limits.symbols.{name}", one) for name, one in profile.limits.symbols.items()]
    for table, content in tables:
        for field in content.__struct_fields__:
            value = getattr(content, field)
            if not isinstance(value, Decimal | int) or isinstance(value, bool):
                continue
            number = Decimal(value)
            if not number.is_finite() or not 0 < number <= MAX_VALUE:
                yield f"{table}.{field} must be a positive number of at most {MAX_VALUE}, not {value}"
