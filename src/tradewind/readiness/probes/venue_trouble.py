"""venue-api-issue-procedure: a key is put out of use by the venue's refusals, and the runbook restores it.

Before that the diagnosis is timed while the core is dead, holds the key, and while the venue is silent or
gone: it has to show every part, or say that a part is unknown, within its bound.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext
from tradewind.readiness.probes.desk_world import ACCOUNT, LocalVenue
from tradewind.readiness.probes.drill import Facts, drill, ratio
from tradewind.readiness.probes.relay import LOOPBACK, Relay
from tradewind.readiness.record import MeasuredValue
from tradewind.readiness.runbooks import Step, Taken, steps_of, take
from tradewind.venues.kraken.assemble import Credentials, open_kraken
from tradewind.venues.kraken.connector import KrakenOptions, KrakenVenue
from tradewind.venues.kraken.live import KrakenEndpoints
from tradewind.venues.protocol import Incomplete
from tradewind.venues.transport.keys import KeyFolder, fingerprint

PAGE: Final = Path("docs") / "runbooks" / "venue-trouble.md"
NEVER_S: Final = 3_600.0
OTHER_AHEAD_S: Final = 200
"""How far the other user of the key is ahead."""
PARTS: Final = ("venue status", "clock skew", "key ", "nonce ", "limits ")
"""What the line of the catalogue asks to be shown."""
LOOK: Final = "tradewind venue diagnose {venue} --url {url} --data {data} --json"


def _open(local: LocalVenue, data: Path) -> Any:
    place = local.place(data)
    options = KrakenOptions(endpoints=KrakenEndpoints(rest_url=local.gateway.url))
    credentials = Credentials(place.key, place.secret)
    return open_kraken(credentials, KeyFolder(data), account=ACCOUNT, tier="pro", options=options)


async def _reads(venue: KrakenVenue) -> bool:
    """Whether the venue answers a signed question with this key."""
    await venue.instruments()
    return not isinstance(await venue.balances(), Incomplete)


async def _put_out_of_use(local: LocalVenue, data: Path, elsewhere: Path) -> str:
    """Our key works; then somebody else uses it with higher nonces, and ours are refused until it is out of
    use. The reason.
    """
    async with _open(local, data) as venue:
        if not await _reads(venue):
            raise CannotMeasureError("the key does not work to begin with")
        async with _open(local, elsewhere) as other:
            other.rest.lane._nonces.skip_ahead(OTHER_AHEAD_S)  # a restored backup, or a thief
            if not await _reads(other):
                raise CannotMeasureError("the other user of the key is refused")
        for _ in range(3):
            await _reads(venue)
        return str(venue.rest.lane.quarantined)


def _diagnose(values: Mapping[str, str], prelude: str) -> dict[str, Any]:
    step = Step(name="look", command=LOOK, exit=0, shows=PARTS)
    taken = take(step, values, prelude)
    return {"took_s": taken.took_s, "missing": list(taken.missing), "exit": taken.exit}


async def _looks(
    local: LocalVenue, data: Path, values: dict[str, str], prelude: str
) -> dict[str, dict[str, Any]]:
    """One look in each situation; of the venue itself, of a silent one, and of none."""
    found: dict[str, dict[str, Any]] = {}

    async def look(name: str, url: str) -> None:
        found[name] = await asyncio.to_thread(_diagnose, {**values, "url": url}, prelude)

    async with _open(local, data) as venue:
        if not await _reads(venue):
            raise CannotMeasureError("the key does not work")
        await asyncio.sleep(1.2)  # limits are saved once a second
        await look("core holds the key", local.gateway.url)
    await look("core is dead", local.gateway.url)
    relay = Relay(local.port)
    await relay.start()
    try:
        relay.silence()
        await look("venue is silent", f"http://{LOOPBACK}:{relay.port}")
    finally:
        await relay.close()
    await look("venue is gone", f"http://{LOOPBACK}:{relay.port}")
    return found


async def _drill(folder: Path, page: Path, prelude: str) -> Facts:
    local = await LocalVenue.open(folder / "exchange")
    data = folder / "data"
    try:
        place = local.place(data)
        name = fingerprint("kraken", place.key)
        values = {
            "venue": "kraken", "url": local.gateway.url, "data": str(data), "key": name,
            "reason": "another process had used the key",
        }  # fmt: skip
        looks = await _looks(local, data, values, prelude)
        reason = await _put_out_of_use(local, data, folder / "elsewhere")
        refused = await _works(local, data)
        steps: list[Taken] = [await asyncio.to_thread(take, step, values, prelude) for step in steps_of(page)]
        return {
            "looks": looks,
            "quarantine": reason,
            "worked_before": refused,
            "steps": [{"name": one.name, "passed": one.passed, "exit": one.exit,
                       "missing": list(one.missing), "took_s": one.took_s} for one in steps],
            "works_afterwards": await _works(local, data),
        }  # fmt: skip
    finally:
        await local.close()


async def _works(local: LocalVenue, data: Path) -> bool:
    async with _open(local, data) as venue:
        return await _reads(venue)


def _observe(context: ProbeContext, prelude: str = "") -> Facts:
    begin_s = time.monotonic()
    facts = asyncio.run(_drill(context.scratch, context.require_source() / PAGE, prelude))
    return {**facts, "drill_s": time.monotonic() - begin_s}


WITHOUT_NONCES: Final = """
from tradewind.venues import diagnosis
diagnosis._nonce = lambda folder, record: diagnosis.Part(name="key", value={})
"""


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    looks, steps = facts["looks"], facts["steps"]
    slowest_s = max(NEVER_S if one["missing"] else one["took_s"] for one in looks.values())
    # The drill is one only if the key was out of use before, and of use afterwards.
    ends = [bool(facts["quarantine"]) and not facts["worked_before"], bool(facts["works_afterwards"])]
    passed = sum(one["passed"] for one in steps) + sum(ends)
    return {
        "diagnosis_s": MeasuredValue(slowest_s, "s", len(looks)),
        "runbook_steps_passed": ratio(passed, len(steps) + len(ends)),
    }


procedure = drill(
    "venue-api-issue-procedure",
    observe=_observe,
    broken=lambda context: _observe(context, WITHOUT_NONCES),
    summarise=_summarise,
    provenance="emulated",
)
