"""ccxt itself, loaded when it is needed and never before; one exchange object of it, made exact and
bounded.
"""

from __future__ import annotations

import importlib
import logging
from typing import Any, Final

import msgspec

from tradewind.venues.ccxt_adapter.exact import ExactNumbers
from tradewind.venues.ccxt_adapter.options import CcxtOptions
from tradewind.venues.ccxt_adapter.profile import profile_of

EXTRA: Final = "pip install 'tradewind[ccxt]'"
HOOKS: Final = (
    "on_json_response", "parse_json", "parse_order_book_bid_ask", "on_rest_response", "handle_errors",
    "nonce", "fetch", "fetch2", "client", "calculate_rate_limiter_cost", "safe_string",
)  # fmt: skip
"""Methods of ccxt's base class that our mixin stands in front of, or uses."""
NOISY: Final = "ccxt.base.exchange"
"""ccxt's logger. It writes whole requests with their keys and signatures at level DEBUG."""


class MissingExtra(ImportError):
    """The library is not installed; the message says how to get it."""

    code = "MissingExtra"


class IncompatibleLibrary(ImportError):
    """This version of ccxt has no place for what we change in it: nothing of it would be exact or bounded."""

    code = "IncompatibleLibrary"


class UnknownExchange(ValueError):
    """ccxt has no exchange of this id."""

    code = "UnknownExchange"


class CcxtCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """What a venue hands out: every field that it needs, under ccxt's names. Never printed."""

    api_key: str
    secret: str
    password: str = ""
    uid: str = ""

    def __repr__(self) -> str:
        return "CcxtCredentials(…)"


def load() -> Any:
    """The module `ccxt.pro`.

    Raises:
        MissingExtra: it is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module("ccxt.pro")
    except ImportError as error:
        raise MissingExtra(f"venues through ccxt need the extra `ccxt`: {EXTRA} ({error})") from error


def exchange_of(options: CcxtOptions, credentials: CcxtCredentials) -> Any:
    """An exchange object that reads numbers as text, never repeats a request, and answers in time.

    Raises:
        MissingExtra, IncompatibleLibrary, UnknownExchange.
    """
    module = load()
    if options.exchange not in module.exchanges:
        raise UnknownExchange(f"ccxt has no exchange {options.exchange[:40]!r} with streams")
    base = getattr(module, options.exchange)
    missing = [name for name in HOOKS if not callable(getattr(base, name, None))]
    if missing:
        raise IncompatibleLibrary(f"ccxt {getattr(module, '__version__', '')} has no {', '.join(missing)}")
    kind = type(options.exchange, (ExactNumbers, base), {})
    logging.getLogger(NOISY).setLevel(logging.WARNING)
    settings = _settings(options)
    exchange = kind(
        {
            "apiKey": credentials.api_key,
            "secret": credentials.secret,
            **({"password": credentials.password} if credentials.password else {}),
            **({"uid": credentials.uid} if credentials.uid else {}),
            "number": str,
            "enableRateLimit": False,  # our own limits count every request, in fetch2
            "timeout": int(options.answer_timeout_s * 1_000),
            "options": {"defaultType": "spot", "maxRetriesOnFailure": 0, **settings},
        }
    )
    exchange.timeout_on_exit = 0
    _readdress(exchange.urls.get("api"), options)
    return exchange


def _settings(options: CcxtOptions) -> dict[str, Any]:
    """ccxt's own options for the venue. What proves absence is set behind everything else."""
    profile = profile_of(options.exchange)
    settings = dict(profile.settings) | options.settings
    horizon_s = options.horizon_s if options.horizon_s is not None else profile.horizon_s
    if profile.window and horizon_s is not None:
        settings[profile.window] = int(horizon_s * 1_000)
    return settings


def _readdress(urls: Any, options: CcxtOptions) -> None:
    """Other hosts than the venue's own; everything behind the host stays."""
    if not isinstance(urls, dict):
        return
    for name, url in urls.items():
        if isinstance(url, dict):
            _readdress(url, options)
        elif isinstance(url, str):
            base = options.socket_url if url.startswith("ws") else options.rest_url
            parts = url.split("/", 3)
            if base:
                urls[name] = f"{base}/{parts[3]}" if len(parts) > 3 else base
