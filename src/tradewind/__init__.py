"""Tradewind: a deterministic exchange, a hardened trader, and readiness that is executable.

Importing this package loads nothing else: every part is imported by the command that needs it.
"""

__version__ = "0.1.0"
