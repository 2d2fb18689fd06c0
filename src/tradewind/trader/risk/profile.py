"""Risk limits as a typed profile (T1.6, T11.3). No limit has a built-in default: a profile states every one
of them.
"""

from __future__ import annotations

import hashlib
import tomllib
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import msgspec

PROFILE_DIR = Path(__file__).parent.parent / "profiles"
MAX_PROFILE_BYTES = 65_536
MAX_VALUE = Decimal(10**15)
"""No limit is larger: what is meant to be without a limit says "none", where that is allowed."""


class ConfigError(ValueError):
    """A profile with a missing, unknown, malformed or non-finite value."""

    code = "ConfigError"


class ConfigConflict(ConfigError):
    """One limit is stated by two sources."""

    code = "ConfigConflict"


class SymbolLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of one symbol."""

    max_order_qty_base: Decimal


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every limit of T11.3 that this build evaluates. Percentages are of marked equity, money in the account
    currency.

    `equity_cap_quote` is a number or the word "none".
    """

    symbols: dict[str, SymbolLimits]
    max_order_notional_quote: Decimal
    price_collar_bps: Decimal
    max_position_notional_pct: Decimal
    max_gross_exposure_pct: Decimal
    max_net_exposure_pct: Decimal
    max_positions_count: int
    max_open_orders_symbol_count: int
    max_open_orders_account_count: int
    max_messages_per_s: int
    max_same_order_repeat_count: int
    repeat_window_s: int
    daily_loss_pct: Decimal
    drawdown_warn_pct: Decimal
    drawdown_half_size_pct: Decimal
    drawdown_reduce_only_pct: Decimal
    drawdown_halt_pct: Decimal
    max_strategy_loss_pct: Decimal
    max_leverage_x100: int
    max_spread_bps: Decimal
    max_order_age_at_risk_ms: int
    max_market_age_ms: int
    max_balance_age_ms: int
    max_denials_per_minute_count: int
    equity_cap_quote: Decimal | None


class Account(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The account that the limits belong to."""

    currency: str
    dead_man: str
    dead_man_s: int
    on_halt: str
    max_intent_age_ms: int
    resume_cooldown_s: int
    flatten_collar_bps: Decimal
    flatten_participation_pct: Decimal
    flatten_interval_ms: int


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named risk profile."""

    name: str
    environment: str
    account: Account
    limits: Limits
    hash: str


def load_profile(name_or_path: str | Path, overlay: str | Path | None = None) -> Profile:
    """The profile with this name, or from this file, optionally joined with a second file of *other* keys.

    Raises `ConfigError` for a missing or unknown key, a float, NaN or negative limit; `ConfigConflict` when
    both files state the same key.
    """
    content = _read(Path(name_or_path))
    if overlay is not None:
        content = _join(content, _read(Path(overlay)), "")
    digest = hashlib.blake2b(msgspec.json.encode(content, order="deterministic"), digest_size=16).hexdigest()
    if content.get("limits", {}).get("equity_cap_quote") == "none":
        content["limits"]["equity_cap_quote"] = None
    elif "equity_cap_quote" in content.get("limits", {}) and content["limits"]["equity_cap_quote"] is None:
        raise ConfigError("limits.equity_cap_quote: state a number or 'none'")
    try:
        profile = msgspec.convert({**content, "hash": digest}, Profile)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name_or_path}: {error}") from error
    except InvalidOperation as error:
        raise ConfigError(f"{name_or_path}: not a number") from error
    _validate(profile)
    return profile


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
        content = tomllib.loads(raw.decode(), parse_float=_refuse_float)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name}: {error}") from error
    return content


def _refuse_float(text: str) -> Decimal:
    raise ConfigError(f"write {text} as a quoted decimal: a limit is never a float")


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


def _validate(profile: Profile) -> None:
    tables: list[tuple[str, msgspec.Struct]] = [("limits", profile.limits), ("account", profile.account)]
    tables += [(f"limits.symbols.{name}", one) for name, one in profile.limits.symbols.items()]
    for table, content in tables:
        for field in content.__struct_fields__:
            value = getattr(content, field)
            if isinstance(value, Decimal | int) and not isinstance(value, bool):
                _require_in_range(f"{table}.{field}", Decimal(value))
    limits = profile.limits
    ladder = (
        limits.drawdown_warn_pct,
        limits.drawdown_half_size_pct,
        limits.drawdown_reduce_only_pct,
        limits.drawdown_halt_pct,
    )
    if list(ladder) != sorted(ladder):
        raise ConfigError("the drawdown ladder must ascend: warn, half size, reduce only, halt")
    if profile.account.dead_man not in {"timer", "stops"}:
        raise ConfigError(f"account.dead_man must be 'timer' or 'stops', not {profile.account.dead_man!r}")
    if profile.account.on_halt not in {"hold", "flatten"}:
        raise ConfigError(f"account.on_halt must be 'hold' or 'flatten', not {profile.account.on_halt!r}")


def _require_in_range(field: str, value: Decimal) -> None:
    if not value.is_finite() or not 0 < value <= MAX_VALUE:
        raise ConfigError(f"{field} must be a positive number of at most {MAX_VALUE}, not {value}")
