"""performance-stack-below-4kb: the largest stack frame of the engine, as the compiler states it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tradewind.lab.bench import stack
from tradewind.lab.bench.context import MeasureFailed, Skipped
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.probes.source_tree import copy_of, run_tool
from tradewind.readiness.record import MeasuredValue

BUILD_LIMIT_S: Final = 900.0
STACK_BUDGET_KIB: Final = 128
# The whole standard stream, set-up included, on a thread whose stack is as small as the budget.
DEEPEST_PATH: Final = f"""
import threading
threading.stack_size({STACK_BUDGET_KIB} << 10)
from tradewind.core.measure import StandardStream
from tradewind.core.native import Engine
def run():
    stream = StandardStream(500)
    engine = Engine(stream.genesis.encode())
    for part in stream.setup:
        engine.apply(part, stream.setup_ns)
    for part, now_ns in stream.fill():
        engine.apply(part, now_ns)
    flows = [stream.next(flow, 4_096) for flow in ("mixed", "replace", "trade")]
    for part, now_ns in flows:
        engine.apply(part, now_ns)
    print(engine.next_seq)
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""
PLANTED: Final = """
#[inline(never)]
#[export_name = "tradewind_engine::planted"]
pub extern "C" fn planted(seed: u8) -> u8 {
    let large = std::hint::black_box([seed; 8_192]);
    large[usize::from(seed)]
}
"""


def _frames(library: Path) -> dict[str, Any]:
    try:
        return stack.frames(library.read_bytes())
    except (Skipped, MeasureFailed, OSError) as error:
        raise CannotMeasureError(str(error)) from error


def _cargo() -> str:
    cargo = stack.find_cargo()
    if cargo is None:
        raise CannotMeasureError("cargo is not installed")
    return cargo


def _observe(context: ProbeContext) -> Facts:
    root = context.require_source()
    try:
        stack.build(_cargo(), root, limit_s=BUILD_LIMIT_S)
    except MeasureFailed as error:
        raise CannotMeasureError(str(error)) from error
    facts = _frames(root / stack.TARGET / stack.LIBRARY)
    status, output = run_tool([sys.executable, "-c", DEEPEST_PATH], context.scratch)
    if status != 0 or not output.strip().isdecimal():
        detail = output.strip()[-200:]
        raise CannotMeasureError(
            f"the deepest path needs more than {STACK_BUDGET_KIB} KiB of stack: {detail}"
        )
    return {**facts, "path_budget_kib": STACK_BUDGET_KIB, "commands_on_the_path": int(output)}


def _with_large_array(context: ProbeContext) -> Facts:
    """A function of the engine with 8 KiB on its stack; the engine alone is built, as the release is."""
    root = copy_of(context.require_source(), context.scratch / "tree")
    with (root / "crates" / "engine" / "src" / "lib.rs").open("a") as handle:
        handle.write(PLANTED)
    target = context.scratch / "target"
    command = [
        *(_cargo(), "rustc", "--release", "--quiet", "--offline", "--package", "tradewind-engine", "--lib"),
        *("--target-dir", str(target), "--crate-type", "cdylib", "--", "-Z", "emit-stack-sizes"),
    ]
    status, output = run_tool(command, root, {**os.environ, "RUSTC_BOOTSTRAP": "1"})
    if status != 0:
        raise CannotMeasureError(f"the mutant does not build: {output.strip()[-300:]}")
    return _frames(target / "release" / "libtradewind_engine.so")


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    return {"max_frame_bytes": MeasuredValue(facts["max_frame_bytes"], "bytes", facts["functions"])}


frames = drill(
    "performance-stack-below-4kb", observe=_observe, broken=_with_large_array, summarise=_summarise
)
