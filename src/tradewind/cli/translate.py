"""Typed failures of the lower parts as failures of a command."""

from __future__ import annotations

import errno

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
        name = error.name or type(error).__name__
        return CommandFailure(ExitCode.RED, name, str(error).removeprefix(f"{name} "))
    of_keys = _of_keys(error)
    if of_keys is None and isinstance(error, OSError):
        return _of_system(error)
    return of_keys or _of_installation(error)


def _of_keys(error: Exception) -> CommandFailure | None:
    """Venue keys, their nonces and the trading lease."""
    from tradewind.security.capability import CapabilityDenied
    from tradewind.venues.transport.keys import WrongPurpose
    from tradewind.venues.transport.lease import KeyBusy, LeaseHeld, LeaseLost
    from tradewind.venues.transport.nonce import NonceError

    if isinstance(error, KeyBusy | LeaseHeld):
        pid = None if error.holder is None else error.holder.pid
        return CommandFailure(ExitCode.LOCKED, error.code, str(error), pid=pid)
    if isinstance(error, WrongPurpose | NonceError | LeaseLost | CapabilityDenied):
        return CommandFailure(ExitCode.CONFIG, error.code, str(error))
    return None


def _of_system(error: OSError) -> CommandFailure:
    """What the operating system refused: CANNOT, never "a definite no"."""
    if error.errno is None:
        return CommandFailure(ExitCode.CANNOT, type(error).__name__, str(error))
    files = " -> ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    text = f"{files or 'the system'}: {error.strerror}"
    return CommandFailure(ExitCode.CANNOT, errno.errorcode.get(error.errno, "IO_ERROR"), text)


def _of_installation(error: Exception) -> CommandFailure | None:
    """Keys, profiles and the trader's own records."""
    from tradewind.api.identities import IdentityError
    from tradewind.trader.campaign.series import SeriesDamaged
    from tradewind.trader.campaign.state import CampaignRefused
    from tradewind.trader.discovery import StrategyError
    from tradewind.trader.execution.errors import ExecutionRefused, Refusal
    from tradewind.trader.ledger import LedgerError
    from tradewind.trader.parameters import ParameterError
    from tradewind.trader.records import UnreadableRecord
    from tradewind.trader.risk.profile import ConfigError
    from tradewind.venues.paper.port import PortRestricted, PortStopped
    from tradewind.venues.paper.schedule import ScheduleError
    from tradewind.venues.paper.setup import SetupRefused

    if isinstance(error, IdentityError):
        return CommandFailure(ExitCode.CONFIG, error.code, str(error))
    if isinstance(error, CampaignRefused):
        return CommandFailure(ExitCode.CONFIG, error.code, str(error))
    if isinstance(error, ExecutionRefused):
        return CommandFailure(ExitCode.RED, Refusal(error.code).name, str(error))
    known: tuple[tuple[type[Exception], ExitCode, str], ...] = (
        (ConfigError, ExitCode.CONFIG, "BAD_PROFILE"),
        (StrategyError, ExitCode.CONFIG, "BAD_STRATEGY"),
        (ParameterError, ExitCode.CONFIG, "BAD_PARAMETER"),
        (ScheduleError, ExitCode.CONFIG, "BAD_FEE_SCHEDULE"),
        (SetupRefused, ExitCode.CONFIG, "SETUP_REFUSED"),
        (SeriesDamaged, ExitCode.RED, SeriesDamaged.code),
        (LedgerError, ExitCode.RED, "TRADER_RECORDS_BROKEN"),
        (UnreadableRecord, ExitCode.RED, "TRADER_RECORDS_BROKEN"),
        (PortRestricted, ExitCode.RED, "CAPACITY_EXCEEDED"),
        (PortStopped, ExitCode.RED, "ENGINE_STOPPED"),
    )
    for kind, exit_code, code in known:
        if isinstance(error, kind):
            return CommandFailure(exit_code, code, str(error).removeprefix(f"{code}: "))
    return None


def unexpected(error: Exception) -> CommandFailure:
    """A defect of this program: one line with its place. The whole trace is in the diagnostic log of `up`,
    and on standard error with TRADEWIND_TRACEBACK=1.
    """
    import structlog

    trace = error.__traceback__
    place = "unknown place"
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", "")
        if name.startswith("tradewind."):
            place = f"{name}:{trace.tb_lineno}"
        trace = trace.tb_next
    if structlog.is_configured():
        structlog.get_logger("tradewind.cli").critical("internal_error", place=place, exc_info=error)
    message = f"{type(error).__name__} at {place}: {error}; whether the command had its effect is unknown"
    return CommandFailure(ExitCode.CANNOT, "INTERNAL_ERROR", message)
