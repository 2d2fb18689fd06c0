"""venue-status-isolators: every kind of answer over real sockets, and what each does to its isolator.

A connector runs at a local venue whose status changes: what is pushed and what is polled must both say it.
A server gives one kind of answer for as long as it is asked. Faults have to open the isolator, refusals and
rate limits must not; cancels pass whatever it says; a venue whose status is unknown gets no new risk.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.desk_world import DeskWorld, LocalVenue
from tradewind.readiness.probes.drill import Facts, case, drill, held, ratio
from tradewind.readiness.record import MeasuredValue
from tradewind.venues.kraken.directory import state_of
from tradewind.venues.kraken.trading import Trading
from tradewind.venues.limits.verdicts import Priority
from tradewind.venues.protocol import VenueState
from tradewind.venues.transport import isolators as module
from tradewind.venues.transport.isolators import Fault, Isolator, IsolatorState
from tradewind.venues.transport.private_http import Answer, PrivateHttp, Reply

REQUESTS: Final = 12
SILENCE_S: Final = 0.05
PATIENCE_S: Final = 10.0
ANSWER: Final = "HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\n{{}}"
HEALTHY: Final = ("200", "400", "401", "403", "404", "418", "429")
"""Answers of a venue that works, whatever it thinks of the request."""
FAULTY: Final = ("500", "502", "503", "silence", "cut", "malformed", "closed port")
STATES: Final = (
    VenueState.MAINTENANCE,
    VenueState.CANCEL_ONLY,
    VenueState.POST_ONLY,
    VenueState.ONLINE,
)
NEVER_HEARD: Final = ("freezing", "", "ONLINE ", "post-only?", "0")
"""Words for a status that the venue's documentation does not have."""


async def _serve(kind: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            if kind == "silence":
                await reader.read()
                break
            if kind == "cut":
                break
            text = "what?\r\n\r\n" if kind == "malformed" else ANSWER.format(status=kind)
            writer.write(text.encode())
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _ask(kind: str) -> dict[str, Any]:
    """Requests until the isolator blocks, then cancels; the state, and cancels that did not get through."""
    server = await asyncio.start_server(lambda r, w: _serve(kind, r, w), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    if kind == "closed port":
        server.close()
        await server.wait_closed()
    isolator, blocked = Isolator(), 0
    timeout_s = SILENCE_S if kind == "silence" else PATIENCE_S
    async with PrivateHttp(url, max_connections=1) as http:
        for _ in range(REQUESTS):
            leave = isolator.ask(Priority.P4, time.monotonic_ns())
            if leave is not None:
                reply = await http.request("GET", "/", timeout_s=timeout_s)
                isolator.reply(leave, reply, time.monotonic_ns())
        state = isolator.state
        for cls in (Priority.P0, Priority.P1):
            blocked += isolator.ask(cls, time.monotonic_ns()) is None
    server.close()
    return {"state": state.value, "blocked": blocked}


async def _all() -> dict[str, dict[str, Any]]:
    return {kind: await _ask(kind) for kind in (*HEALTHY, *FAULTY)}


def _unknown_allowed() -> list[str]:
    """Unknown words, and the state itself, for the venue or for a pair, that would let new risk through."""
    allowed = []
    for word in (*NEVER_HEARD, None):
        state = VenueState.UNKNOWN if word is None else state_of(word)
        for where in ("venue", "pair"):
            system = state if where == "venue" else VenueState.ONLINE
            pair = state if where == "pair" else VenueState.ONLINE
            directory = SimpleNamespace(states={"BTC/USD": pair})
            connector: Any = SimpleNamespace(
                socket=SimpleNamespace(system=system), mirror=SimpleNamespace(directory=directory)
            )
            if Trading._state_refusal(connector, "BTC/USD", None) is None:
                allowed.append(f"{where}: {word!r}")
    return allowed


async def _status_of_a_running_connector(folder: Path) -> list[dict[str, Any]]:
    """What the venue pushes and what it answers, for each of its states; an unreachable one is unknown."""
    local = await LocalVenue.open(folder / "exchange")
    cases: list[dict[str, Any]] = []
    try:
        async with DeskWorld(local.place(folder / "desk")) as world:
            socket = world.venue.socket
            for state in STATES:
                local.exchange.set_mode(state)
                pushed = await _becomes(lambda: socket.system, state)
                # the venue's answer alone, as when the stream is silent
                socket.system = VenueState.ONLINE
                polled = (await world.venue.status()).state
                socket.system = pushed
                cases += [
                    case(f"pushed {state}", state.value, pushed.value),
                    case(f"polled {state}", state.value, polled.value),
                ]
            await local.down()
            gone = await _becomes(lambda: world.venue.socket.system, VenueState.UNKNOWN)
            asked = (await world.venue.status()).state
            cases += [case("pushed, venue away", "unknown", gone.value)]
            cases += [case("polled, venue away", "unknown", asked.value)]
    finally:
        await local.close()
    return cases


async def _becomes(look: Callable[[], VenueState], wanted: VenueState) -> VenueState:
    """What it is when it is as wanted, or when the patience ends."""
    deadline_s = time.monotonic() + PATIENCE_S
    while look() is not wanted and time.monotonic() < deadline_s:  # noqa: ASYNC110 the venue tells
        await asyncio.sleep(SILENCE_S)
    return look()


def _observe(context: ProbeContext) -> Facts:
    found = asyncio.run(_all())
    cases = [case(kind, IsolatorState.CLOSED.value, found[kind]["state"]) for kind in HEALTHY]
    cases += [case(kind, IsolatorState.OPEN.value, found[kind]["state"]) for kind in FAULTY]
    cases += asyncio.run(_status_of_a_running_connector(context.scratch))
    words = (len(NEVER_HEARD) + 1) * 2
    return {
        "cases": cases,
        "cancels": 2 * len(found),
        "cancels_blocked": sum(row["blocked"] for row in found.values()),
        "unknown_words": words,
        "unknown_allowed": _unknown_allowed(),
    }


def _refusals_are_faults(context: ProbeContext) -> Facts:
    """A refused request counts as a fault."""
    honest: Callable[[Reply], Fault | None] = module.classify

    def lax(reply: Reply) -> Fault | None:
        refused = isinstance(reply, Answer) and reply.status >= 400
        return Fault.SERVER if refused else honest(reply)

    module.classify = lax
    try:
        return _observe(context)
    finally:
        module.classify = honest  # type: ignore[assignment]  # and this is its end


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    cases = facts["cases"]
    return {
        "fault_classes_isolated": ratio(held(cases), len(cases)),
        "cancels_blocked": count(facts["cancels_blocked"], facts["cancels"]),
        "unknown_status_new_risk": count(len(facts["unknown_allowed"]), facts["unknown_words"]),
    }


isolators = drill(
    "venue-status-isolators",
    observe=_observe,
    broken=_refusals_are_faults,
    summarise=_summarise,
    provenance="emulated",
)
