"""paper-day2-dashboard: a real browser looks at the console again and again and compares it with the API.

Chromium is driven over its own debugging protocol; the API is asked many times around each look, so that a
figure on the page has to be one that the API gave within a refresh.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import aiohttp

from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.child import Platform, platform
from tradewind.readiness.probes.drill import Facts, drill, ratio
from tradewind.readiness.record import MeasuredValue

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS: Final = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
    "--disable-component-update", "--disable-sync", "--remote-debugging-port=0", "--window-size=1440,1000",
)  # fmt: skip
LOOKS: Final = 8
LOOK_EVERY_S: Final = 2.0
ASK_EVERY_S: Final = 0.05
AROUND_S: Final = 1.2
START_S: Final = 30.0
SETTLE_S: Final = 45.0
READ: Final = """
JSON.stringify((() => {
  const num = (one) => { const at = document.querySelector(one); return at ? at.textContent.trim() : null; };
  const value = (one) => { const at = document.querySelector(one); return at ? at.dataset.value : null; };
  return {
    beat: num('#tw-beat'), last: value('#last-price .num'),
    hash: (document.querySelector('#head-hash') || {dataset: {}}).dataset.hash,
    equity: value('#tile-equity .num'), position: value('#tile-position .num'), open: num('#open-orders'),
    panels: [...document.querySelectorAll('section.panel')].map(
      one => ({name: one.getAttribute('aria-label'), text: one.innerText.length})),
    assets: [...document.querySelectorAll('tr[data-asset]')].map(one => one.dataset.asset),
    gauges: [...document.querySelectorAll('li.gauge')].map(one => one.dataset.code),
    journal: (document.querySelector('section.area-journal')||{innerText: ''}).innerText,
    performance: (document.querySelector('section.area-performance')||{innerText: ''}).innerText,
    ladder: [...document.querySelectorAll('section.area-ladder .num')].map(one => one.dataset.value),
    controls: Object.fromEntries(
      ['stop-button', 'theme-button', 'interval-1', 'interval-60', 'copy-hash'].map(id => {
        const at = document.getElementById(id);
        return [id, !!at && !at.disabled];
      })),
  };
})())
"""


class _Browser:
    """One page, over the debugging protocol."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        async with asyncio.timeout(START_S):
            while True:
                answer = await self._socket.receive_json()
                if answer.get("id") == self._number:
                    result: dict[str, Any] = answer.get("result", {})
                    return result

    async def read(self) -> dict[str, Any]:
        """What the page shows now."""
        answer = await self.call("Runtime.evaluate", expression=READ)
        text = answer.get("result", {}).get("value")
        if not isinstance(text, str):
            raise CannotMeasureError(f"the page cannot be read: {str(answer)[:200]}")
        shown: dict[str, Any] = json.loads(text)
        return shown


async def _open(stack: AsyncExitStack, folder: Path, url: str) -> _Browser:
    found = next((one for name in BROWSERS if (one := shutil.which(name))), None)
    if found is None:
        raise CannotMeasureError("no Chromium is installed")
    # The program is a browser found on the path, the arguments are constants.
    process = subprocess.Popen(  # noqa: S603, ASYNC220 - see above; it starts at once
        [found, *FLAGS, f"--user-data-dir={folder}", "about:blank"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def end() -> None:
        process.kill()
        process.wait(START_S)

    stack.callback(end)
    port_file = folder / "DevToolsActivePort"
    deadline_s = time.monotonic() + START_S
    while not port_file.exists() or not port_file.read_text().strip():
        if time.monotonic() > deadline_s or process.poll() is not None:
            raise CannotMeasureError("the browser does not start")
        await asyncio.sleep(0.05)
    port = int(port_file.read_text().split()[0])
    session = await stack.enter_async_context(aiohttp.ClientSession())
    async with session.get(f"http://127.0.0.1:{port}/json") as answer:
        pages = [one for one in json.loads(await answer.text()) if one["type"] == "page"]
    socket = await stack.enter_async_context(
        session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=16 << 20)
    )
    browser = _Browser(socket)
    await browser.call("Page.navigate", url=url)
    return browser


async def _look(child: Platform, browser: _Browser) -> dict[str, Any]:
    """One look at the page, and every view that the API gave around it."""
    views: list[dict[str, Any]] = []
    shown: dict[str, Any] = {}
    begin_s = time.monotonic()
    while time.monotonic() - begin_s < 2 * AROUND_S:
        reply = await asyncio.to_thread(child.request, "GET", "/api/v1/status")
        views.append(json.loads(reply.body))
        if not shown and time.monotonic() - begin_s >= AROUND_S:
            shown = await browser.read()
        await asyncio.sleep(ASK_EVERY_S)
    return {"shown": shown, "views": [_figures(one) for one in views]}


def _figures(view: Mapping[str, Any]) -> dict[str, Any]:
    """What the page has to show of one view."""
    profit = view.get("profit") or {}
    return {
        "taken_ns": view["taken_ns"],
        "last": (view["market"]["last"] or {}).get("value"),
        "hash": view["head"]["hash"],
        "block": view["head"]["block"],
        "seq": view["head"]["seq"],
        "equity": (profit.get("equity") or {}).get("value"),
        "position": ((view.get("position") or {}).get("quantity") or {}).get("value"),
        "open": view.get("orders_open"),
        "commands": (view.get("counters") or {}).get("commands_total"),
        "assets": sorted(one["asset"] for one in view.get("balances") or ()),
        "limits": sorted(one["code"] for one in view.get("limits") or ()),
        "spread": view["market"]["spread"]["value"],
    }


async def _watch(child: Platform, folder: Path) -> Facts:
    async with AsyncExitStack() as stack:
        browser = await _open(stack, folder, f"{child.run['url']}/")
        deadline_s = time.monotonic() + SETTLE_S
        while not (await browser.read())["last"]:
            if time.monotonic() > deadline_s:
                raise CannotMeasureError("the console shows no price")
            await asyncio.sleep(0.2)
        looks = []
        for _ in range(LOOKS):
            looks.append(await _look(child, browser))
            await asyncio.sleep(LOOK_EVERY_S)
        return {"looks": looks}


def _observe(context: ProbeContext, prelude: str = "") -> Facts:
    folder = Path(tempfile.mkdtemp(dir=context.scratch))
    with platform(context.scratch / "data", prelude=prelude) as child:
        child.trading()
        return asyncio.run(_watch(child, folder))


FREEZE: Final = """
import tradewind.dashboard.render as render
honest = render.head_hash
first = []
def frozen(view):
    if view.head.seq and not first:
        first.append(honest(view))
    return first[0] if first else honest(view)
render.head_hash = frozen
"""


def _wrong(look: Mapping[str, Any]) -> list[str]:
    """Panels of one look whose figures are none that the API gave around it."""
    shown, views = look["shown"], look["views"]
    checks = {
        "Price": shown["last"] in {one["last"] for one in views},
        "Journal": shown["hash"] in {one["hash"] for one in views}
        and any(f"{one['seq']:,}" in shown["journal"] for one in views if one["seq"] is not None),
        "Tiles": shown["equity"] in {one["equity"] for one in views}
        and shown["position"] in {one["position"] for one in views},
        "Our orders": any(
            shown["open"] == f"{one['open']:,} open" for one in views if one["open"] is not None
        ),
        "Performance": any(
            f"{one['commands']:,}" in shown["performance"] for one in views if one["commands"]
        ),
        "Balances": any(sorted(shown["assets"]) == one["assets"] for one in views),
        "Limits": any(sorted(shown["gauges"]) == one["limits"] for one in views),
        "Order book": bool({one["spread"] for one in views} & set(shown["ladder"])),
        "Page": shown["beat"] in {str(one["taken_ns"]) for one in views},
    }
    empty = [one["name"] for one in shown["panels"] if not one["text"]]
    return sorted([name for name, good in checks.items() if not good] + empty)


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    looks = facts["looks"]
    wrong = [_wrong(one) for one in looks]
    enabled = [all(one["shown"]["controls"].values()) for one in looks]
    good = sum(not bad and able for bad, able in zip(wrong, enabled, strict=True))
    return {
        "probe_success": ratio(good, len(looks)),
        "stale_panels": count(len({name for bad in wrong for name in bad}), len(looks)),
    }


dashboard = drill(
    "paper-day2-dashboard",
    observe=_observe,
    broken=lambda context: _observe(context, FREEZE),
    summarise=_summarise,
    provenance="emulated",
    not_run=("a look every five minutes through days 2 and 3 of a campaign",),
)
