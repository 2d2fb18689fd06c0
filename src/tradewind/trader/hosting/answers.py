"""What a callback may answer. Anything else is nonsense, and its strategy is halted (T14.2)."""

from __future__ import annotations

from collections.abc import Callable, Container
from decimal import Decimal
from typing import Any

from tradewind.venues.market_data import Side
from tradewind.venues.protocol import TimeInForce

from ..strategy import MAX_INTENTS_PER_CALLBACK, AmendIntent, CancelIntent, PlaceIntent

MAX_TAG_CHARACTERS = 64


class Nonsense(ValueError):
    """An answer that no correct strategy gives."""

    code = "StrategyNonsense"


Owner = Callable[[str], str | None]
"""Client id to the name of the strategy whose order it is; None for an order that is not known (any more)."""


def check_answer(
    answer: Any, symbols: Container[str], name: str, owner: Owner, others: Container[type]
) -> list[Any]:
    """The intents of an answer. Raises `Nonsense`.

    Sizes and prices of zero or less are left to risk, which denies them: a size may be rounded to nothing.
    """
    if not isinstance(answer, list | tuple):
        raise Nonsense(f"answered {_short(answer)}, not a list of intents")
    if len(answer) > MAX_INTENTS_PER_CALLBACK:
        raise Nonsense(f"{len(answer)} intents in one callback, at most {MAX_INTENTS_PER_CALLBACK}")
    for intent in answer:
        kind = type(intent)
        if kind is PlaceIntent:
            _check_place(intent, symbols)
        elif kind is AmendIntent or kind is CancelIntent:
            _check_change(intent, name, owner)
        elif kind in others:
            if getattr(intent, "symbol", None) not in symbols:
                raise Nonsense(
                    f"an order in {_short(getattr(intent, 'symbol', None))}, which it did not declare"
                )
        else:
            raise Nonsense(f"answered {_short(intent)}, which is no intent")
    return list(answer)


def _check_place(intent: PlaceIntent, symbols: Container[str]) -> None:
    if type(intent.symbol) is not str or intent.symbol not in symbols:
        raise Nonsense(f"an order in {_short(intent.symbol)}, which it did not declare")
    if not isinstance(intent.side, Side):
        raise Nonsense(f"side is {_short(intent.side)}")
    _whole("price_ticks", intent.price_ticks)
    _whole("lots", intent.lots)
    if intent.stop_ticks is not None:
        _whole("stop_ticks", intent.stop_ticks)
    edge = intent.edge_bps
    if edge is not None and not (isinstance(edge, Decimal) and edge.is_finite()):
        raise Nonsense(f"edge_bps is {_short(edge)}, not a finite Decimal")
    if not isinstance(intent.time_in_force, TimeInForce) or type(intent.post_only) is not bool:
        raise Nonsense(f"time_in_force {_short(intent.time_in_force)}, post_only {_short(intent.post_only)}")
    if type(intent.tag) is not str or len(intent.tag) > MAX_TAG_CHARACTERS:
        raise Nonsense(f"the tag is not a text of at most {MAX_TAG_CHARACTERS} characters")


def _check_change(intent: AmendIntent | CancelIntent, name: str, owner: Owner) -> None:
    if type(intent.client_id) is not str:
        raise Nonsense(f"client_id is {_short(intent.client_id)}")
    if owner(intent.client_id) not in {None, name}:
        raise Nonsense(f"asked to change {intent.client_id}, an order of another strategy")
    if isinstance(intent, AmendIntent):
        _whole("price_ticks", intent.price_ticks)
        _whole("lots", intent.lots)


def _whole(name: str, value: Any) -> None:
    if type(value) is not int or not -(1 << 62) < value < 1 << 62:
        raise Nonsense(f"{name} is {_short(value)}, not a whole number")


def _short(value: Any) -> str:
    """A value in words; a value that cannot be printed is named by its type."""
    try:
        return f"{type(value).__name__} {value!r}"[:120]
    except Exception:  # noqa: BLE001 - the value belongs to the strategy, and so does its repr
        return type(value).__name__
