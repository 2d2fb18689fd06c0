"""Options that many verbs share."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

Account = Annotated[
    str, Parameter(help="account: local name such as trader, number, or 64 hexadecimal digits")
]
Market = Annotated[str, Parameter(help="market: symbol such as BTC/USDT, or number")]
Actor = Annotated[
    str | None, Parameter(name="--as", help="identity that acts, e.g. resumer-2; each verb has a default")
]
ClientKey = Annotated[
    str | None, Parameter(help="idempotency key, at most 16 bytes; the same key and body acts once")
]
