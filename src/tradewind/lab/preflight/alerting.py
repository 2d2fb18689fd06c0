"""The check of the way from an alert to people: V21."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from tradewind.config import EFFECTIVE_CONFIG
from tradewind.lab.preflight.model import Context, Evidence, require
from tradewind.observe.alerts import Alert, AlertRouter, FileSink, Severity, SinkError, WebhookSink

PATIENCE_S: Final = 10.0
LOOK_EVERY_S: Final = 0.02
RULE: Final = "PreflightDrill"
NOBODY: Final = "http://127.0.0.1:9/"
"""The discard port: nothing of ours listens there."""


class LocalSink:
    """An incident service of this machine. `status` is what it answers."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.status, self.confirms = 202, True

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """The address while it serves."""
        from aiohttp import web

        async def take(request: web.Request) -> web.Response:
            event = await request.json()
            if self.status == 202:
                self.events.append(event)
            key = event["dedup_key"] if self.confirms else "another"
            return web.json_response({"status": "success", "dedup_key": key}, status=self.status)

        application = web.Application()
        application.router.add_post("/", take)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            port = runner.addresses[0][1]
            yield f"http://127.0.0.1:{port}/"
        finally:
            await runner.cleanup()


async def delivery(context: Context) -> Evidence:
    """V21: an alert reaches a sink that confirms it, a person's acknowledgement ends it, and with the first
    sink gone the second has it. The configured sink is asked too; without one a local sink counts below
    canary.
    """
    local = LocalSink()
    async with local.serving() as url:
        configured = _configured(context.data)
        require(
            bool(configured) or context.env not in ("canary", "live"),
            "no sink is configured: alerts of this environment would reach nobody",
        )
        first = context.at("V21.url", url)
        seen = await _through(WebhookSink(first, source="preflight"), context.scratch / "second.jsonl")
        require(seen["sink"] == "webhook", f"the first sink has confirmed nothing, {seen['sink']} has")
        arrived = [one for one in local.events if one["event_action"] == "trigger"]
        require(len(arrived) == 1, f"{len(arrived)} events arrived for one alert")
        require(seen["open_after"] == 0, "an acknowledged alert is still open")
    lost = await _through(context.at("V21.second", WebhookSink(NOBODY)), context.scratch / "fallback.jsonl")
    require(lost["sink"] == "file", "with the first sink gone the second did not take the alert")
    if configured:
        sink = WebhookSink(configured, source="preflight")
        try:
            await sink.beat()
        except SinkError as error:
            require(False, f"the configured sink does not answer: {error}")
        finally:
            await sink.close()
    return {"delivered": seen, "first_sink_gone": lost, "configured_sink": bool(configured)}


async def _through(first: WebhookSink, second: Path) -> dict[str, Any]:
    """One alert through a router with these two sinks: who confirmed it, and what acknowledging did."""
    router = AlertRouter([first, FileSink(second)], retry_s=(0.05,))
    alert = Alert(
        rule=RULE, text="a drill: nothing is wrong", severity=Severity.TICKET, scope="preflight",
        at_ns=time.time_ns(),
    )  # fmt: skip
    running = asyncio.create_task(router.run())
    began_s = time.monotonic()
    try:
        router.post(alert)
        while router.last_delivery(alert.id) is None and time.monotonic() - began_s < PATIENCE_S:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_EVERY_S)
        delivered = router.last_delivery(alert.id)
        require(delivered is not None, "no sink has confirmed the alert")
        assert delivered is not None
        require(router.acknowledge(alert.id, "preflight") is not None, "the alert cannot be acknowledged")
        return {
            "sink": delivered.sink,
            "after_ms": int((time.monotonic() - began_s) * 1_000),
            "open_after": len(router.unacknowledged()),
        }
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _configured(data: Path) -> str:
    """The sink of the last start; "" when there is none."""
    try:
        return str(json.loads((data / EFFECTIVE_CONFIG).read_bytes()).get("alert_url") or "")
    except (OSError, ValueError, AttributeError):
        return ""
