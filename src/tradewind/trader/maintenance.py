"""A venue's maintenance window (T10.2, T10.3): strategies halt, positions are stale, a mock takes tests.

Back to trading only when the venue says online in two ways, twice, some time apart, with fresh instruments
and clean books; then at half size for a minute. Live orders never go to the mock: while the window lasts they
are refused, and the mock has no way into the live books.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

import msgspec
import structlog

from tradewind.gateways.model import Order, Refused
from tradewind.venues.market_data import Known, Stale, Unknown
from tradewind.venues.protocol import VenueState, VenueStatus

from .mock_venue import MockVenue
from .oms import OrderRequest
from .venue_desk import NotTrading, VenueDesk

log = structlog.get_logger("tradewind.trader.maintenance")
LOOK_S: Final = 0.1
HALF: Final = Decimal("0.5")
CLOSED_STATES: Final = frozenset({VenueState.MAINTENANCE})
KEPT_WINDOWS: Final = 1_000


class Stage(StrEnum):
    """Where the account stands."""

    OPEN = "open"
    MAINTENANCE = "maintenance"
    RETURNING = "returning"
    """The venue says online; not yet believed."""
    HALF = "half"
    """Trading again, at half size."""


class WindowLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Named times in seconds."""

    ask_every_s: float = 4.0
    """In ordinary times, so that a window is seen within five seconds without a word of the stream."""
    probe_every_s: float = 10.0
    """In maintenance: not faster, with jitter."""
    jitter: float = 0.2
    apart_s: float = 10.0
    """Between two findings that the venue is online."""
    half_s: float = 60.0


class Haltable(Protocol):
    """A strategy."""

    name: str

    def halt(self, reason: str) -> None:
        """No more orders; called once a window, must not block."""

    def resume(self) -> None:
        """The window is over and the books are clean."""


class Window(msgspec.Struct, kw_only=True):
    """One window, for the record. Times of the wall clock in ns; 0: not yet."""

    began_ns: int
    reason: str
    online_ns: int = 0
    ended_ns: int = 0
    test_orders: int = 0


class MaintenanceGuard:
    """Watches one venue for one desk. `run` until cancelled; one event loop.

    `pushed` is what the venue's stream said last; `refresh` reads the instruments again ("" when it worked);
    `disarm` takes the venue's timer away if it still answers.
    """

    def __init__(
        self,
        desk: VenueDesk,
        pushed: Callable[[], VenueState],
        refresh: Callable[[], Awaitable[str]],
        *,
        mock_data: Path,
        strategies: Sequence[Haltable] = (),
        disarm: Callable[[], Awaitable[object]] | None = None,
        limits: WindowLimits | None = None,
    ) -> None:
        self._desk, self._pushed, self._refresh = desk, pushed, refresh
        self._strategies, self._disarm = strategies, disarm
        self._mock_data = mock_data
        self.limits = limits or WindowLimits()
        self.stage = Stage.OPEN
        self.reason = ""
        self.mock: MockVenue | None = None
        """Takes test traffic while the window lasts."""
        self.windows: list[Window] = []
        self._half_until_s = 0.0
        self._uniform = random.SystemRandom().uniform

    # ---- life --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Watches until cancelled; an open mock is closed then."""
        try:
            while True:
                why = await self._until_closed()
                await self._window(why)
        finally:
            await self._close_mock()

    async def _until_closed(self) -> str:
        """Waits for a window; why it is one."""
        asked_s = -self.limits.ask_every_s
        while True:
            if self.stage is Stage.HALF and time.monotonic() >= self._half_until_s:
                self._move(Stage.OPEN, "")
            if self._pushed() in CLOSED_STATES:
                return "the venue's stream says maintenance"
            if time.monotonic() - asked_s >= self.limits.ask_every_s:
                asked_s = time.monotonic()
                status = await self._ask()
                if status is not None and status.state in CLOSED_STATES:
                    return f"the venue says maintenance {status.reason}".strip()
            await asyncio.sleep(LOOK_S)

    async def _ask(self) -> VenueStatus | None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.limits.ask_every_s):
                return await self._desk.venue.status()
        return None

    async def _window(self, why: str) -> None:
        window = Window(began_ns=time.time_ns(), reason=why)
        self.windows = [*self.windows[1 - KEPT_WINDOWS :], window]
        self._move(Stage.MAINTENANCE, why)
        for strategy in self._strategies:
            strategy.halt(why)
        if self._disarm is not None:
            try:
                await self._disarm()
            except Exception as error:  # noqa: BLE001 a venue in maintenance may answer anything
                log.warning("timer_not_disarmed", reason=type(error).__name__)
        await self._open_mock()
        while not await self._comes_back(window):
            pass
        window.test_orders = 0 if self.mock is None else self.mock.orders
        await self._close_mock()
        window.ended_ns = time.time_ns()
        self._half_until_s = time.monotonic() + self.limits.half_s
        self._move(Stage.HALF, "the window is over")
        for strategy in self._strategies:
            strategy.resume()

    async def _comes_back(self, window: Window) -> bool:
        """Whether the venue is back for good: twice online in both ways, instruments fresh, books clean."""
        if not await self._online():
            self._move(Stage.MAINTENANCE, self.reason)
            await asyncio.sleep(self._jittered(self.limits.probe_every_s))
            return False
        if self.stage is not Stage.RETURNING:  # else the reason of the last attempt stays to be seen
            self._move(Stage.RETURNING, "the venue says online")
        window.online_ns = window.online_ns or time.time_ns()
        await asyncio.sleep(self.limits.apart_s)
        if not await self._online():
            return False
        problem = await self._refresh()
        if problem:
            self.reason = f"instruments: {problem}"
            return False
        differences = await self._desk.reconcile()
        if differences:
            self.reason = str(differences[0])
            return False
        return not self._desk.blocked

    async def _online(self) -> bool:
        status = await self._ask()
        asked = status is not None and status.state is VenueState.ONLINE
        return asked and self._pushed() is VenueState.ONLINE

    def _jittered(self, seconds: float) -> float:
        return seconds * self._uniform(1.0, 1.0 + self.limits.jitter)

    def _move(self, stage: Stage, reason: str) -> None:
        if stage is not self.stage:
            log.warning("maintenance_stage", before=self.stage, after=stage, reason=reason)
        self.stage, self.reason = stage, reason

    async def _open_mock(self) -> None:
        try:
            self.mock = await MockVenue(self._mock_data).__aenter__()
        except Exception as error:  # noqa: BLE001 a mock that does not open keeps no window from being handled
            self.mock = None
            log.error("mock_venue_failed", reason=repr(error)[:200])

    async def _close_mock(self) -> None:
        mock, self.mock = self.mock, None
        if mock is not None:
            await mock.__aexit__(None, None, None)

    # ---- what follows from it ----------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether nothing is traded now."""
        return self.stage in {Stage.MAINTENANCE, Stage.RETURNING}

    def refusal(self, request: OrderRequest) -> str:
        """Why an order must not leave now, reducing ones too: the venue takes none. A guard of the desk."""
        return f"Maintenance: {self.stage}: {self.reason}" if self.closed else ""

    @property
    def size_multiplier(self) -> Decimal:
        """What sizes are multiplied with."""
        if self.closed:
            return Decimal(0)
        return HALF if self.stage is Stage.HALF else Decimal(1)

    def position(self, symbol: str) -> Known[Decimal] | Stale[Decimal] | Unknown:
        """What is held of a symbol by our books; stale while the venue cannot be asked."""
        instrument = self._desk.oms.instruments.get(symbol)
        if instrument is None:
            return Unknown(f"no instrument {symbol[:40]!r}")
        quantity = self._desk.ledger.total(instrument.base)
        checked = self._desk.reconciled
        if checked is None:
            return Unknown("the books were never compared with the venue")
        if self.closed:
            return Stale(quantity, checked.at_ns, self._desk.venue.name, self.reason)
        return Known(quantity, checked.at_ns, self._desk.venue.name)

    async def test(self, request: OrderRequest) -> Order | Refused:
        """Test traffic, while the window lasts.

        Raises:
            NotTrading: there is no window, or no mock. MockFull: the window has had its test orders.
        """
        if self.mock is None or not self.mock.open or not self.closed:
            raise NotTrading("test traffic goes to the mock venue, which is open in maintenance only")
        return await self.mock.place(request)
