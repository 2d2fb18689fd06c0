"""What this process may do with money is fixed once, at its start (trading T1.11).

A process that was declared `sim` or `paper` cannot import a module that signs, nor build an object that holds
a signing key: each of them asks here first. Nothing takes a declaration back.
"""

from __future__ import annotations

import sys
from typing import Final

SIGNING_ENVIRONMENTS: Final = frozenset({"testnet", "canary", "live"})
TRADING_ENVIRONMENTS: Final = frozenset({"sim", "paper"}) | SIGNING_ENVIRONMENTS
SIGNING_MODULES: Final = (
    "tradewind.venues.transport.signatures",
    "tradewind.venues.transport.signer",
)
"""Modules that can make a signature which moves money at an outside venue."""


class CapabilityDenied(PermissionError):
    """This process may not do that in its environment: no object that could sign for a real venue exists."""

    code = "CapabilityDenied"


class _Declared:
    environment: str | None = None


def declare(environment: str) -> None:
    """Fixes the environment of this process. The same one again changes nothing.

    Raises:
        CapabilityDenied: another one was declared, or something that signs is loaded already.
        ValueError: no such environment.
    """
    if environment not in TRADING_ENVIRONMENTS:
        raise ValueError(f"no environment {environment!r}")
    if _Declared.environment not in (None, environment):
        raise CapabilityDenied(f"this process is {_Declared.environment}, it cannot become {environment}")
    loaded = [name for name in SIGNING_MODULES if name in sys.modules]
    if environment not in SIGNING_ENVIRONMENTS and loaded:
        raise CapabilityDenied(f"{loaded[0]} is loaded: this process cannot become {environment}")
    _Declared.environment = environment


def declared() -> str | None:
    """The environment of this process; None when nobody declared one (tools, gateways, tests)."""
    return _Declared.environment


def require_signing(what: str) -> None:
    """Returns where signing is allowed.

    Raises:
        CapabilityDenied: this process trades in an environment without signatures.
    """
    environment = _Declared.environment
    if environment is not None and environment not in SIGNING_ENVIRONMENTS:
        raise CapabilityDenied(f"{what} is not available to a process of environment {environment}")
