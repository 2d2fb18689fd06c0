"""The smallest records, which others refer to."""

import msgspec


class Posting(msgspec.Struct, frozen=True, gc=False):
    """A signed movement on one balance line, in micro-units; per event and asset they sum to zero.

    `owner` is an account handle on user lines, a market or pool handle (or 0) on system lines.
    """

    owner: int
    asset: int
    line: int
    sub: int
    amount: int
