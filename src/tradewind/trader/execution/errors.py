"""What the execution desk refuses, and why. A refusal changes nothing."""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    """Codes of refused requests. Each is the `code` of an `ExecutionRefused`."""

    UNKNOWN_SYMBOL = "UnknownSymbol"
    BAD_NUMBER = "BadNumber"
    UNKNOWN_ALGORITHM = "UnknownAlgorithm"
    UNKNOWN_PARAMETER = "UnknownParameter"
    PARAMETER_OUT_OF_BOUNDS = "ParameterOutOfBounds"
    NO_COMPLETION_POLICY = "NoCompletionPolicy"
    PARENT_TOO_SMALL = "ParentTooSmall"
    SLICE_TOO_SMALL = "SliceTooSmall"
    DISPLAY_TOO_SMALL = "DisplayTooSmall"
    SCHEDULE_UNREACHABLE = "ScheduleUnreachable"
    NO_VOLUME_CURVE = "NoVolumeCurve"
    LIMIT_BEYOND_MARKET = "LimitBeyondMarket"
    MARKET_NOT_LIVE = "MarketNotLive"
    STATE_NOT_NORMAL = "StateNotNormal"
    TOO_MANY_PARENTS = "TooManyParents"
    IDEMPOTENCY_CONFLICT = "IdempotencyConflict"
    UNKNOWN_PARENT = "UnknownParent"
    PARENT_ENDED = "ParentEnded"
    NO_REASON = "NoReason"
    RISK_DENIED = "RiskDenied"


class ExecutionRefused(ValueError):
    """A request that was refused. `bound` and `given` are what was violated, `nearest` the closest valid
    value, as text; empty when there is none.
    """

    def __init__(
        self,
        code: Refusal,
        message: str,
        *,
        bound: str = "",
        given: str = "",
        nearest: str = "",
        codes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.code = str(code)
        self.message = message
        self.bound = bound
        self.given = given
        self.nearest = nearest
        self.codes = codes


class NoVolumeCurve(ExecutionRefused):
    """No volume curve, or one of too few weeks: VWAP never invents a shape (T13.4)."""

    def __init__(self, message: str) -> None:
        super().__init__(Refusal.NO_VOLUME_CURVE, message)
