"""Suite `memory`: idle markets, imports, the whole platform, each in a fresh process. MB are 10^6 bytes."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from tradewind.lab.bench import children
from tradewind.lab.bench.context import Context, Figures, MeasureFailed, Skipped, percentile

MEGABYTE: Final = 1_000_000
SAMPLE_INTERVAL_S: Final = 0.02
STOP_GRACE_S: Final = 30.0
UP_STARTED: Final = "run.json"
"""File that `tradewind up` writes into its data directory when it serves."""
MARKETS_PROGRAM: Final = """
import json
from tradewind.core.measure import idle_markets
found = idle_markets({markets})
print(json.dumps([found.markets, found.before_bytes, found.after_bytes]))
"""
OUTCOMES_PROGRAM: Final = """
import json
from tradewind.lab.bench.outcome_markets import measure
print(json.dumps(measure({markets})))
"""
IMPORT_PROGRAM: Final = """
import json, time
begin = time.perf_counter_ns()
import {module}
print(json.dumps(time.perf_counter_ns() - begin))
"""
LIBRARY: Final = "tradewind, tradewind.core.engine, tradewind.core.commands, tradewind.core.events"
UP_PROGRAM: Final = "from tradewind.cli import main; main()"


def run(context: Context) -> Figures:
    """Memory of 21,000 idle markets, import time, start time and memory of `tradewind up`."""
    context.tell("idle markets")
    figures = _idle_markets(context)
    context.tell("outcome markets")
    figures |= _outcome_markets(context)
    context.tell("imports")
    # The package alone imports nothing; what counts is the library as one uses it.
    figures["import_s"] = _import_s(context, LIBRARY)
    figures["import_means"] = LIBRARY
    figures["import_node_s"] = _import_s(context, "tradewind.node.service")
    context.tell(f"tradewind up for {context.effort.up_seconds} s")
    try:
        return figures | _up(context)
    except (Skipped, MeasureFailed) as reason:
        kind = "skipped" if isinstance(reason, Skipped) else "failed"
        return figures | {"up_rss_mb": None, "up_start_s": None, kind: str(reason)}


def _idle_markets(context: Context) -> Figures:
    wanted = context.effort.idle_markets
    program = MARKETS_PROGRAM.format(markets=wanted)
    (made, before, after), _ = children.python_json(program, limit_s=context.effort.child_limit_s)
    if made != wanted:
        raise MeasureFailed(f"{made} of {wanted} markets were created")
    # Few markets say nothing about 21,000, so the figure is None unless all of them were made.
    whole = round((after - before) / MEGABYTE, 2) if wanted == 21_000 else None
    per_market = round((after - before) / made, 1) if made else None
    return {"idle_21000_markets_mb": whole, "idle_markets": made, "bytes_per_idle_market": per_market}


def _outcome_markets(context: Context) -> Figures:
    """Binary outcome markets, each with an order for either outcome in its book and a pool with a swap."""
    wanted = context.effort.idle_markets
    program = OUTCOMES_PROGRAM.format(markets=wanted)
    (made, before, after), _ = children.python_json(program, limit_s=context.effort.child_limit_s)
    whole = round((after - before) / MEGABYTE, 2) if wanted == 21_000 else None
    per_market = round((after - before) / made, 1) if made else None
    return {"outcome_21000_markets_mb": whole, "bytes_per_outcome_market": per_market}


def _import_s(context: Context, module: str) -> float:
    """Median seconds of an import in a fresh interpreter whose files are in the cache of the system."""
    samples = []
    for _ in range(context.effort.import_runs + 1):
        program = IMPORT_PROGRAM.format(module=module)
        samples.append(children.python_json(program, limit_s=context.effort.child_limit_s)[0])
    return round(percentile(samples[1:], 0.5) / 1e9, 4)


def _up(context: Context) -> Figures:
    """Peak memory of a real platform on a generated market, and how long it takes until it serves."""
    if importlib.util.find_spec("tradewind.cli.up") is None:
        raise Skipped("this build has no `tradewind up`")
    data = context.folder("up") / "data"
    seconds = context.effort.up_seconds
    words = f"up --port 0 --feed generated --for {seconds}s --json --data".split()
    log = data.parent / "up.log"
    begin = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 the words are ours
            [sys.executable, "-c", UP_PROGRAM, *words, str(data)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=children.environment(),
        )
    try:
        figures = _watch(process, data, begin, seconds)
    finally:
        _end(process)
    if process.returncode != 0 or figures["up_rss_mb"] is None or figures["up_start_s"] is None:
        said = log.read_text(errors="replace").strip()[-400:]
        raise MeasureFailed(f"tradewind up ended with status {process.returncode}: {said}")
    return figures


def _watch(process: subprocess.Popen[bytes], data: Path, begin: float, seconds: int) -> Figures:
    """Samples the process until it ends by itself or has had its time three times over."""
    deadline = begin + 3 * seconds + STOP_GRACE_S
    started_s: float | None = None
    last_bytes = peak_bytes = 0
    while process.poll() is None and time.monotonic() < deadline:
        if started_s is None and _serves(data):
            started_s = round(time.monotonic() - begin, 3)
        found = _resident_bytes(process.pid)
        if found is not None:
            last_bytes, peak_bytes = found[0] or last_bytes, max(peak_bytes, found[1])
        time.sleep(SAMPLE_INTERVAL_S)
    return {
        "up_rss_mb": round(peak_bytes / MEGABYTE, 1) if peak_bytes else None,
        "up_rss_means": "peak of the whole run",
        "up_rss_at_end_mb": round(last_bytes / MEGABYTE, 1) if last_bytes else None,
        "up_start_s": started_s,
    }


def _serves(data: Path) -> bool:
    try:
        return isinstance(json.loads((data / UP_STARTED).read_bytes()), dict)
    except (OSError, ValueError):
        return False


def _resident_bytes(pid: int) -> tuple[int, int] | None:
    """Resident memory now and at its peak; None when the process is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    found = {name: int(value) * 1_024 for name, value in re.findall(r"^(Vm\w+):\s+(\d+) kB$", status, re.M)}
    if "VmRSS" not in found or "VmHWM" not in found:
        return None
    return found["VmRSS"], found["VmHWM"]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupts a child that is still there, and ends it when it does not listen."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_GRACE_S)
    if process.poll() is None:
        process.kill()
        process.wait()
