"""Typed failures as `application/problem+json` (RFC 9457): one stable name per cause, with the bound and
the value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tradewind.core.errors import Rejected, TradewindError
from tradewind.observe.controls import ControlResult

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:tradewind:error:"


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The body of every answer that is not a success. `code` 0: not a failure of the catalogue."""

    type: str
    title: str
    status: int
    detail: str
    name: str
    code: int
    retryable: bool
    bound: int | None = None
    given: int | None = None
    nearest: list[str] | None = None
    """The valid values just below and above the given one."""
    suggestions: list[str] | None = None
    """Known names that look like the given one."""
    codes: list[str] | None = None
    """Every limit that denied an order."""
    result: ControlResult | None = None
    """What a control has read back, when that is not a success."""


class ApiFailure(Exception):
    """An answer that is not a success."""

    def __init__(
        self,
        status: int,
        name: str,
        detail: str,
        *,
        code: int = 0,
        retryable: bool = False,
        bound: int | None = None,
        given: int | None = None,
        nearest: Sequence[str] | None = None,
        suggestions: Sequence[str] | None = None,
        codes: Sequence[str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.problem = Problem(
            type=TYPE_PREFIX + name.lower(),
            title=name.replace("_", " ").lower(),
            status=status,
            detail=detail,
            name=name,
            code=code,
            retryable=retryable,
            bound=bound,
            given=given,
            nearest=_listed(nearest),
            suggestions=_listed(suggestions),
            codes=_listed(codes),
        )


def _listed(values: Sequence[str] | None) -> list[str] | None:
    return list(values) if values else None


def failure_of(error: Exception, **extra: Any) -> ApiFailure:
    """A failure of the core as an answer. Every reject keeps its number, name, bound and value."""
    if isinstance(error, ApiFailure):
        return error
    if isinstance(error, Rejected):
        return ApiFailure(
            error.http_status,
            error.name,
            error.message,
            code=error.code,
            retryable=error.retryable,
            bound=error.bound,
            given=error.given,
            **extra,
        )
    if isinstance(error, TradewindError):
        name = error.name or type(error).__name__
        return ApiFailure(
            error.http_status, name, str(error), code=error.code, retryable=error.retryable, **extra
        )
    raise TypeError(f"{type(error).__name__} is not an expected failure") from error
