"""A season of outcome markets on one engine in memory, each from its creation to its redemption."""

from __future__ import annotations
