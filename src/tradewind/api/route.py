"""What a route of the API is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from fastapi import Request

Handler = Callable[[Request, Any], Awaitable[Any]]


class CommandRoute(msgspec.Struct, frozen=True):
    """A command below the prefix and the body that it takes."""

    path: str
    body: type[msgspec.Struct]
    handler: Handler
    summary: str
