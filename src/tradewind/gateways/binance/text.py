"""Numbers as the venue writes them: decimal strings with eight decimals, more where a value needs them."""

from __future__ import annotations

import secrets
import string
from decimal import Decimal
from typing import Final

DECIMALS: Final = 8
CLIENT_ID_LENGTH: Final = 22
LETTERS: Final = string.ascii_letters + string.digits
ZERO: Final = "0.00000000"


def decimal_text(value: Decimal, decimals: int = DECIMALS) -> str:
    """`value` with `decimals` decimals; never rounded: a finer value shows all of its digits.

    >>> decimal_text(Decimal("0.1"))
    '0.10000000'
    """
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError("money is finite")
    if -exponent > decimals:
        value = value.normalize()
        exponent = value.as_tuple().exponent
        assert isinstance(exponent, int)
    return f"{value:.{max(decimals, -exponent)}f}"


def cut_text(value: Decimal, decimals: int = DECIMALS) -> str:
    """`value` cut (not rounded) to `decimals`; for derived statistics only, never for money."""
    scale = Decimal(1).scaleb(-decimals)
    return f"{value // scale * scale:.{decimals}f}"


def new_client_id() -> str:
    """An id of the shape that the venue gives to what a client did not name."""
    return "".join(secrets.choice(LETTERS) for _ in range(CLIENT_ID_LENGTH))
