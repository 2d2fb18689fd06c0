"""Console on port 8000, memory after the start, and counters of commands, on a running platform."""

from __future__ import annotations

import importlib.util
import json
import re
import socket
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tradewind.core.hashing import command_names
from tradewind.core.native import JournalReader
from tradewind.core.records import codec
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.child import Platform, platform
from tradewind.readiness.probes.drill import Facts, drill, ratio
from tradewind.readiness.record import MeasuredValue

DEFAULT_PORT: Final = 8_000
CONNECT_TIMEOUT_S: Final = 2.0
SETTLED_S: Final = 60.0


# ---- dashboard-reachable-8000 ---------------------------------------------------------------------------


def _other_addresses() -> list[str]:
    """Addresses of this machine beyond loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe_socket:
        try:
            # No packet is sent: the kernel only chooses the address that a packet would leave from.
            probe_socket.connect(("192.0.2.1", 9))
            chosen = {probe_socket.getsockname()[0]}
        except OSError:
            chosen = set()
    try:
        named = {row[4][0] for row in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    except OSError:
        named = set()
    return sorted(str(address) for address in chosen | named if not str(address).startswith("127."))


def _listening_addresses(port: int) -> list[str]:
    """Local addresses (hexadecimal, as the kernel lists them) on which something listens on ``port``."""
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            address, _, number = fields[1].partition(":")
            if int(number, 16) == port and fields[3] == "0A":
                found.append(address)
    return sorted(found)


def _reachable(address: str) -> bool:
    try:
        with socket.create_connection((address, DEFAULT_PORT), CONNECT_TIMEOUT_S):
            return True
    except OSError:
        return False


def _observe_console(context: ProbeContext, prelude: str = "") -> Facts:
    if _listening_addresses(DEFAULT_PORT):
        raise CannotMeasureError(f"port {DEFAULT_PORT} is in use: the default cannot be measured")
    data = context.scratch / "data"
    # The default port is what is measured, so no --port is given.
    child = Platform(data, ["--feed", "generated", "--strategy", "none"], prelude)
    try:
        child.serving()
        page = child.request("GET", "/", headers={"Host": f"localhost:{DEFAULT_PORT}"})
        others = _other_addresses()
        return {
            "port": child.run["port"],
            "url": child.run["url"],
            "status": page.status,
            "bytes": len(page.body),
            "listening": _listening_addresses(DEFAULT_PORT),
            "other_addresses": len(others),
            "reachable_from_outside": [address for address in others if _reachable(address)],
        }
    finally:
        child.process.kill()
        child.process.wait()


BIND_EVERYWHERE: Final = """
import tradewind.cli.starting as starting
starting.LOOPBACK = "0.0.0.0"
"""
LOOPBACK_IN_TABLE: Final = "0100007F"


def _summarise_console(facts: Facts) -> Mapping[str, MeasuredValue]:
    exposed = [address for address in facts["listening"] if address != LOOPBACK_IN_TABLE]
    access = len(facts["reachable_from_outside"]) + len(exposed)
    looked = facts["other_addresses"] + len(facts["listening"])
    return {
        "http_status": MeasuredValue(facts["status"] if facts["port"] == DEFAULT_PORT else 0, "code", 1),
        "unauthenticated_remote_access": count(access, looked),
    }


console = drill(
    "dashboard-reachable-8000",
    observe=_observe_console,
    broken=lambda context: _observe_console(context, BIND_EVERYWHERE),
    summarise=_summarise_console,
    provenance="emulated",
)


# ---- performance-memory-startup -------------------------------------------------------------------------


def _observe_memory(context: ProbeContext, prelude: str = "", wait_s: float = SETTLED_S) -> Facts:
    """The default configuration, with the generated market: no other feed is always there."""
    with platform(context.scratch / "data", prelude=prelude) as child:
        child.trading()
        at_start_mb = child.resident_mb()
        rest_s = wait_s - (time.monotonic() - child.started_s)
        if rest_s > 0:
            time.sleep(rest_s)
        if child.process.poll() is not None:
            raise CannotMeasureError("the platform ended by itself")
        return {
            "after_s": round(time.monotonic() - child.started_s, 1),
            "resident_mb": child.resident_mb(),
            "resident_at_start_mb": at_start_mb,
        }


ANALYTICS: Final = (
    "numpy",
    "scipy",
    "pandas",
    "polars",
    "pyarrow",
    "duckdb",
    "nautilus_trader",
    "hftbacktest",
    "numba",
)


def _with_analytics(context: ProbeContext) -> Facts:
    """The extras for analytics are loaded at the start, with the working memory of an analysis."""
    installed = [name for name in ANALYTICS if importlib.util.find_spec(name)]
    lines = [f"import {name}" for name in installed]
    # The extras that are installed may be small; an analysis of a day of ticks is not.
    lines += ["table = [float(row) for row in range(4_000_000)]"]
    return _observe_memory(context, "\n".join(lines), wait_s=0.0)


def _summarise_memory(facts: Facts) -> Mapping[str, MeasuredValue]:
    return {"rss_start_mb": MeasuredValue(round(facts["resident_mb"], 3), "MB", 1)}


memory = drill(
    "performance-memory-startup",
    observe=_observe_memory,
    broken=_with_analytics,
    summarise=_summarise_memory,
    provenance="emulated",
)


# ---- api-transaction-success-rate -----------------------------------------------------------------------

COUNTER: Final = re.compile(
    r"^tradewind_commands_total\{(?P<labels>[^}]*)\} (?P<value>[0-9.e+]+)$", re.MULTILINE
)
LABEL: Final = re.compile(r'(\w+)="([^"]*)"')
# Commands that the engine refuses: they are in the log, and each counts as refused.
REFUSED: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("/orders", {"market": "BTC/USDT", "side": "buy", "price": "60000", "quantity": "10"}),
    ("/orders/999999/cancel", {}),
    ("/roles/grant", {"principal": "operator", "role": "SYSTEM", "days": 1}),
)


def _exported(child: Platform) -> tuple[Counter[tuple[str, str]], int]:
    """Commands by kind and outcome, and the number of blocks that they rest on."""
    text = child.request("GET", "/metrics").body.decode()
    counted: Counter[tuple[str, str]] = Counter()
    for match in COUNTER.finditer(text):
        labels = dict(LABEL.findall(match["labels"]))
        counted[labels["kind"], labels["result"]] += round(float(match["value"]))
    blocks = re.search(r"^tradewind_journal_blocks_total ([0-9.e+]+)$", text, re.MULTILINE)
    if blocks is None or not counted:
        raise CannotMeasureError("the platform exports no counter of commands")
    return counted, round(float(blocks[1]))


def _journaled(data: Path, blocks: int) -> Counter[tuple[str, str]]:
    """The same counts from the first ``blocks`` blocks of the journal."""
    names = command_names()
    counted: Counter[tuple[str, str]] = Counter()
    command_fields = [name for name, _, _ in codec("Command").fields]
    result_fields = [name for name, _, _ in codec("CommandResult").fields]
    kind, operation = command_fields.index("kind"), command_fields.index("op")
    accepted = result_fields.index("accepted")
    reader = JournalReader(data / "journal")
    for _ in range(blocks):
        batch = reader.next()
        if batch is None:
            raise CannotMeasureError("the journal is shorter than what was counted")
        rows = zip(
            codec("Command").iter(batch.commands), codec("CommandResult").iter(batch.results), strict=True
        )
        for command, result in rows:
            outcome = "committed" if result[accepted] else "refused"
            counted[names[command[kind], command[operation]][0], outcome] += 1
    return counted


def _observe_rates(context: ProbeContext, prelude: str = "") -> Facts:
    with platform(context.scratch / "data", prelude=prelude) as child:
        child.trading()
        for path, body in REFUSED:
            child.request("POST", f"/api/v1{path}", json.dumps(body).encode())
        time.sleep(2.0)
        exported, blocks = _exported(child)
        child.kill()
        journaled = _journaled(child.data, blocks)
    return {
        "blocks": blocks,
        "exported": {"/".join(key): value for key, value in sorted(exported.items())},
        "journaled": {"/".join(key): value for key, value in sorted(journaled.items())},
    }


COUNT_REFUSED_AS_SUCCESS: Final = """
from collections import Counter
import tradewind.observe.counting as counting
honest = counting.BatchCounters.apply
def flattering(self, batch):
    honest(self, batch)
    merged = Counter()
    for (kind, code), number in self.commands.items():
        merged[kind, 0] += number
    self.commands.clear()
    self.commands.update(merged)
counting.BatchCounters.apply = flattering
"""


def _summarise_rates(facts: Facts) -> Mapping[str, MeasuredValue]:
    exported, journaled = facts["exported"], facts["journaled"]
    kinds = {key.partition("/")[0] for key in journaled}
    with_metric = {key.partition("/")[0] for key in exported}
    difference = sum(abs(exported.get(key, 0) - journaled.get(key, 0)) for key in exported | journaled)
    return {
        "kinds_with_metric": ratio(len(kinds & with_metric), len(kinds)),
        "counter_vs_journal_difference": count(difference, sum(journaled.values())),
    }


success_rate = drill(
    "api-transaction-success-rate",
    observe=_observe_rates,
    broken=lambda context: _observe_rates(context, COUNT_REFUSED_AS_SUCCESS),
    summarise=_summarise_rates,
    provenance="emulated",
)
