"""Suite `stack`: the largest stack frame of an engine function, as the compiler itself states it.

The module is built once more, optimised as a release and with the stack-size section switched on, into a
folder of its own, `target/stack-sizes`. Functions that were inlined into others count there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tradewind.lab.bench import children, elf
from tradewind.lab.bench.context import Context, Figures, MeasureFailed, Skipped

ENGINE: Final = "tradewind_engine"
NOT_ON_THE_PATH: Final = ("tradewind_engine::streams",)
"""Generation of the standard streams: it runs in benchmarks only."""
TARGET: Final = Path("target") / "stack-sizes"
LIBRARY: Final = Path("release") / "lib_core.so"
LARGEST_SHOWN: Final = 5
DEMANGLE_LIMIT_S: Final = 60.0
HASHES: Final = re.compile(r"\[[0-9a-f]{8,16}\]|::h[0-9a-f]{16}$")


def run(context: Context) -> Figures:
    """Builds, reads the section, and names the function with the largest frame."""
    root = source_root()
    if root is None:
        raise Skipped("no source tree beside this package")
    cargo = find_cargo()
    if cargo is None:
        raise Skipped("cargo is not installed")
    library = root / TARGET / LIBRARY
    if context.effort.build_stack_sizes:
        context.tell("building with stack sizes")
        build(cargo, root, limit_s=context.effort.child_limit_s)
    elif not library.exists():
        raise Skipped("quick runs do not build; run: tradewind bench stack")
    return frames(library.read_bytes())


def source_root() -> Path | None:
    """The checkout that this package is imported from."""
    import tradewind

    root = Path(tradewind.__file__).resolve().parents[2]
    return root if (root / "crates" / "engine" / "Cargo.toml").is_file() else None


def find_cargo() -> str | None:
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")) / "bin" / "cargo"
    return shutil.which("cargo") or (str(home) if home.is_file() else None)


def build(cargo: str, root: Path, *, limit_s: float) -> None:
    """Raises `MeasureFailed` when the build fails or takes longer than `limit_s`."""
    command: list[str | Path] = [
        *(cargo, "rustc", "--release", "--quiet", "--package", "tradewind-bindings"),
        *("--features", "pyo3/extension-module", "--target-dir", root / TARGET),
        *("--", "-Z", "emit-stack-sizes"),
    ]
    # The section is an unstable option of the stable compiler; nothing else changes by it.
    children.run(command, limit_s=limit_s, cwd=root, more={"RUSTC_BOOTSTRAP": "1"})


def frames(content: bytes) -> Figures:
    """The largest frames of engine functions in a library.

    Raises:
        MeasureFailed: there are no stack sizes, or no engine function among them. Skipped: no demangler.
    """
    try:
        sizes, symbols = elf.stack_sizes(content), elf.functions(content)
    except elf.NotReadable as error:
        raise MeasureFailed(f"the library cannot be read: {error}") from error
    known = [(size, symbols[address]) for address, size in sizes.items() if address in symbols]
    names = demangled([symbol for _, symbol in known])
    named = sorted(((size, name) for (size, _), name in zip(known, names, strict=True)), reverse=True)
    engine = [row for row in named if is_engine(row[1])]
    if not engine:
        raise MeasureFailed(f"no stack size of an engine function among {len(sizes)}")
    generic = [row for row in named if ENGINE in row[1] and not is_engine(row[1]) and not _benchmark(row[1])]
    return {
        "max_frame_bytes": engine[0][0],
        "function": engine[0][1],
        "functions": len(engine),
        "largest": [{"bytes": size, "function": name} for size, name in engine[:LARGEST_SHOWN]],
        # Functions of the standard library over types of the engine: not the engine's own, but worth a look.
        "largest_generic": [{"bytes": size, "function": name} for size, name in generic[:LARGEST_SHOWN]],
    }


def demangled(symbols: Sequence[str]) -> list[str]:
    """Names as people write them, without the compiler's hashes.

    Raises:
        Skipped: the demangler is not installed. MeasureFailed: it gave something else back.
    """
    program = shutil.which("c++filt")
    if program is None:
        raise Skipped("c++filt is not installed (apt-get install binutils)")
    found = subprocess.run(  # noqa: S603 the words are ours
        [program],
        input="\n".join(symbols),
        capture_output=True,
        text=True,
        check=False,
        timeout=DEMANGLE_LIMIT_S,
    )
    names = found.stdout.splitlines()
    if found.returncode != 0 or len(names) != len(symbols):
        raise MeasureFailed(f"c++filt gave {len(names)} names for {len(symbols)} symbols")
    return [HASHES.sub("", name) for name in names]


def is_engine(name: str) -> bool:
    """Whether a demangled function is defined in the engine and can run outside benchmarks."""
    implementor, _, trait = name.lstrip("<&* ").partition(" as ")
    defined = implementor.startswith(ENGINE) or trait.startswith(ENGINE)
    return defined and not _benchmark(name)


def _benchmark(name: str) -> bool:
    return any(excluded in name for excluded in NOT_ON_THE_PATH)
