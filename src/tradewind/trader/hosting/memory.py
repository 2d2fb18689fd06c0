"""How much memory the objects of a strategy hold: a bounded walk, extrapolated in large containers."""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Iterable
from itertools import islice
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final

import msgspec

from ..strategy import Context, MarketView

MAX_OBJECTS: Final = 5_000
"""Objects looked at in one walk: about five milliseconds."""
SAMPLE: Final = 200
"""Members of one container that are looked at; the others count as much as these on average."""
SOFT_CAP_BYTES: Final = 64 << 20
_SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType, Context, MarketView)
_PLAIN = (int, float, complex, str, bytes, bytearray, bool, type(None))


class MemoryMeasure(msgspec.Struct, frozen=True, kw_only=True):
    """What a walk found. `complete`: every object was reached or extrapolated from its neighbours."""

    held_bytes: int
    objects: int
    complete: bool


def held_by(root: object, max_objects: int = MAX_OBJECTS) -> MemoryMeasure:
    """Bytes held by `root` and what it refers to. Classes, modules, functions and contexts are not its own.

    An estimate: members of a large container are sampled, and objects are counted once each.
    """
    seen: set[int] = set()
    queue: deque[tuple[Any, float]] = deque([(root, 1.0)])
    total, objects = 0.0, 0
    while queue and objects < max_objects:
        one, weight = queue.popleft()
        if id(one) in seen or isinstance(one, _SHARED):
            continue
        seen.add(id(one))
        objects += 1
        total += weight * sys.getsizeof(one)
        if isinstance(one, _PLAIN):
            continue
        members, share = _members(one)
        queue.extend((member, weight * share) for member in members)
    return MemoryMeasure(held_bytes=int(total), objects=objects, complete=not queue)


def _members(one: Any) -> tuple[Iterable[Any], float]:
    """Members to look at, and how many each of them stands for."""
    if isinstance(one, dict):
        keys, share = _sample(one, len(one))
        return [member for key in keys for member in (key, one.get(key))], share
    if isinstance(one, list | tuple | deque | set | frozenset):
        return _sample(one, len(one))
    return [member for member in gc.get_referents(one) if not isinstance(member, _SHARED)], 1.0


def _sample(one: Iterable[Any], count: int) -> tuple[list[Any], float]:
    if count <= SAMPLE:
        return list(one), 1.0
    step = count // SAMPLE
    chosen = list(one[::step]) if isinstance(one, list | tuple) else list(islice(one, SAMPLE))
    return chosen, count / len(chosen)
