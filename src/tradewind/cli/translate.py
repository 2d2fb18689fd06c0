"""Typed failures of the lower parts as failures of a command."""

from __future__ import annotations

from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.config import ConfigurationRefused


def translate(error: Exception) -> CommandFailure | None:
    """The failure that `error` means for the caller; None when it is not an expected one."""
    from tradewind.core.errors import JournalLocked, TradewindError

    if isinstance(error, ConfigurationRefused):
        details = {"cause": list(error.causes)} if error.causes else {}
        return CommandFailure(ExitCode.CONFIG, error.code, str(error), **details)
    if isinstance(error, JournalLocked):
        return CommandFailure(ExitCode.LOCKED, "LOCKED", str(error), pid=getattr(error, "pid", None))
    if isinstance(error, TradewindError):
        return CommandFailure(ExitCode.RED, error.name or type(error).__name__, str(error))
    if isinstance(error, PermissionError | IsADirectoryError | NotADirectoryError | FileNotFoundError):
        return CommandFailure(ExitCode.CANNOT, type(error).__name__, str(error))
    return None
