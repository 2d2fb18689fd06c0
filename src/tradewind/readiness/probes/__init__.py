"""The probes of this build. A criterion without a module here shows *no evidence*."""

from __future__ import annotations

from importlib import import_module
from typing import Final

MODULES: Final = (
    "access",
    "amm",
    "artefact",
    "breakers",
    "cancelling",
    "cascade",
    "collateral",
    "compiling",
    "conservation",
    "coverage",
    "credentials",
    "emergency_stop",
    "failsafe",
    "fees",
    "frames",
    "halting",
    "identifiers",
    "ingestion",
    "integrity",
    "keepers",
    "leakage",
    "lifecycle",
    "liquidation",
    "logging",
    "markers",
    "market_record",
    "markets",
    "oracle",
    "orders",
    "paper_console",
    "paper_drills",
    "paper_profit",
    "paper_soak",
    "parameters",
    "placing",
    "platform",
    "positions",
    "preflight",
    "quality",
    "reconnect",
    "recovery",
    "settings",
    "shutdown_paths",
    "structure",
    "token",
    "trader_breakers",
    "trader_limits",
    "trader_soaks",
    "venue_balances",
    "venue_dead_man",
    "venue_duplicates",
    "venue_isolators",
    "venue_limits",
    "venue_maintenance",
    "venue_nonce",
    "venue_pooling",
    "venue_reconciling",
    "venue_stability",
    "venue_trouble",
)


def load_all() -> None:
    """Imports every probe module; each registers its probes once."""
    for name in MODULES:
        import_module(f"{__name__}.{name}")
