"""Typed reports as plain JSON values: bytes become hexadecimal, paths text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec


def plain(value: Any) -> Any:
    """Built-in types only. Raises `TypeError` for what has no plain form."""
    return msgspec.to_builtins(_walk(value))


def _walk(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, msgspec.Struct):
        return {field: _walk(getattr(value, field)) for field in value.__struct_fields__}
    if isinstance(value, dict):
        return {str(key): _walk(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_walk(item) for item in value]
    return value
