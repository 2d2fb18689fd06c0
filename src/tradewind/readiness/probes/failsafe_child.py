"""Helper process of `failsafe`: a core that places orders at a venue until it is refused, and beyond.

One JSON document on standard input (it has a secret). A line on standard output when it trades.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Final

import msgspec

from tradewind.readiness.probes.desk_world import PRICE_TICKS, DeskWorld, Place, wish
from tradewind.trader.ledger import LedgerError
from tradewind.trader.venue_desk import NotTrading

PAUSE_S: Final = 0.1
STEP_TICKS: Final = 10
LINE: Final = b'{"event":"trading"}\n'


async def run(place: Place) -> None:
    """Lives until it is killed."""
    async with DeskWorld(place) as world:
        number = 0
        while True:
            number += 1
            try:
                order = await world.desk.place(wish(PRICE_TICKS - STEP_TICKS * (number % 50 + 1)))
                await world.desk.cancel(order.client_id, "drill")
            except (NotTrading, LedgerError, KeyError):
                pass  # refused: it tries again, as a defect would
            if number == 3:
                sys.stdout.buffer.write(LINE)
                sys.stdout.buffer.flush()
            await asyncio.sleep(PAUSE_S)


def main() -> int:
    """See the module."""
    asyncio.run(run(msgspec.json.decode(sys.stdin.buffer.readline(), type=Place)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
