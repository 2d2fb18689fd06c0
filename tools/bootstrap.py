#!/usr/bin/env python3
"""Installs what a fresh clone needs, and nothing twice.

    python3 tools/bootstrap.py runtime    what `make up` needs
    python3 tools/bootstrap.py dev        + test and lint tools, a browser
    python3 tools/bootstrap.py test       + third-party clients of the venues, in environments of their own
    python3 tools/bootstrap.py bench      + instruction counting

Only the standard library is used, because nothing is installed yet when this runs. Every step compares a
hash of its inputs with the stamp of its last success and does nothing when they agree, so that a second run
costs well under a second. What cannot be installed is named with the command that would install it.

Exit status: 0 everything is there, 1 something is missing or a step failed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STAMPS = VENV / ".stamps"
LOG_TAIL_LINES = 40
MINIMUM_PYTHON = (3, 11)
MINIMUM_RUST = (1, 82)
STEP_TIMEOUT_S = 1_500
PROFILES = ("runtime", "dev", "test", "bench")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class StepFailed(Exception):
    """A step could not be finished; the message says what is missing and how to get it."""


@dataclass(frozen=True)
class Step:
    """One line of progress. ``run`` returns what it did, in a few words."""

    title: str
    run: Callable[[], str]


def content_hash(paths: list[Path], extra: str = "") -> str:
    """Hash of names and bytes of ``paths`` in sorted order, and of ``extra``."""
    digest = hashlib.sha256(extra.encode())
    for path in sorted(paths):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def stamp_matches(name: str, wanted: str) -> bool:
    """True when step ``name`` last succeeded with the same inputs."""
    path = STAMPS / name
    return path.is_file() and path.read_text() == wanted


def write_stamp(name: str, value: str) -> None:
    """Remembers the inputs of a finished step."""
    STAMPS.mkdir(parents=True, exist_ok=True)
    (STAMPS / name).write_text(value)


def run_logged(command: list[str], what: str, env: dict[str, str] | None = None) -> None:
    """Runs ``command`` quietly; on failure raises StepFailed with the end of its output."""
    try:
        result = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=STEP_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise StepFailed(f"{what}: {command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise StepFailed(f"{what}: no end after {STEP_TIMEOUT_S} s: {' '.join(command)}") from error
    if result.returncode != 0:
        tail = "\n".join(result.stdout.splitlines()[-LOG_TAIL_LINES:])
        raise StepFailed(f"{what}: `{' '.join(command)}` ended with status {result.returncode}\n{tail}")


# --- Debian packages -----------------------------------------------------------------------------------


def can_install_packages() -> bool:
    """Only root on a machine with apt may install Debian packages."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def apt_install(*packages: str) -> None:
    """Installs Debian packages without asking; the package lists are refreshed first."""
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    run_logged(["apt-get", "update", "-q"], "package lists", env)
    run_logged(
        ["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages],
        f"apt install {packages}",
        env,
    )


def optional_program(names: tuple[str, ...], package: str, consequence: str) -> str:
    """Makes sure one of ``names`` is on the path; when that is impossible, says what will be missing."""
    found = next((name for name in names if shutil.which(name)), None)
    if found:
        return f"{found} is there"
    if not can_install_packages():
        return f"MISSING {package} ({consequence}); install it with: sudo apt-get install {package}"
    try:
        apt_install(package)
    except StepFailed as error:
        return f"MISSING {package} ({consequence}): {str(error).splitlines()[0]}"
    return f"installed {package}"


# --- Python ----------------------------------------------------------------------------------------------


def ensure_virtual_environment() -> str:
    """Creates .venv with pip, or keeps a working one."""
    probe = [str(VENV_PYTHON), "-c", "import pip, sys; print(*sys.version_info[:2])"]
    if VENV.exists():
        with contextlib.suppress(OSError):
            result = subprocess.run(probe, capture_output=True, text=True, check=False)
            if result.returncode == 0 and tuple(map(int, result.stdout.split())) >= MINIMUM_PYTHON:
                return "is there"
        # A broken environment goes as a whole: its stamps would vouch for packages of another Python.
        shutil.rmtree(VENV)
    try:
        run_logged([sys.executable, "-m", "venv", str(VENV)], "virtual environment")
    except StepFailed as error:
        package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        shutil.rmtree(VENV, ignore_errors=True)
        if not can_install_packages():
            raise StepFailed(f"{error}\nif ensurepip is missing: sudo apt-get install {package}") from error
        apt_install(package)
        run_logged([sys.executable, "-m", "venv", str(VENV)], "virtual environment")
    return "created .venv"


def dependency_lines(profile: str) -> list[str]:
    """The requirement strings of pyproject.toml that ``profile`` needs."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lines: list[str] = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    if profile != "runtime":
        # Tests also cover what only operators install.
        for extra in ("dev", "ops", "polymarket"):
            lines += project["project"]["optional-dependencies"][extra]
    return sorted(set(lines))


def ensure_dependencies(profile: str) -> str:
    """Installs the Python packages of ``profile``; a dev environment also serves as a runtime one."""
    lines = dependency_lines(profile)
    wanted = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    if stamp_matches(f"python-{profile}", wanted):
        return f"{len(lines)} packages are there"
    pip = [str(VENV_PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run_logged([*pip, *lines], "Python packages")
    for served in PROFILES if profile != "runtime" else (profile,):
        of_served = "\n".join(dependency_lines(served))
        write_stamp(f"python-{served}", hashlib.sha256(of_served.encode()).hexdigest())
    return f"installed {len(lines)} packages"


# --- third-party clients ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class ClientEnvironment:
    """An environment of its own for programs of others that the tests run beside ours and never import."""

    folder: Path
    requirements: Path
    override: str
    """Environment variable that names another interpreter; nothing is installed when it is set."""


CLIENTS = ROOT / "tests" / "wire" / "clients"
CLIENT_ENVIRONMENTS = (
    ClientEnvironment(ROOT / ".venv-clients", CLIENTS / "clients.txt", "TRADEWIND_CLIENTS_PYTHON"),
    ClientEnvironment(ROOT / ".venv-freqtrade", CLIENTS / "freqtrade.txt", "TRADEWIND_FREQTRADE_PYTHON"),
)


def requirement_lines(requirements: Path) -> list[str]:
    """The pinned packages of a requirements file, without comments."""
    lines = (line.strip() for line in requirements.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def ensure_client_environment(wanted: ClientEnvironment) -> str:
    """Makes one environment from its pins, whole or not at all; keeps it while pins and Python are the same.

    Raises StepFailed in continuous integration when it cannot be made. On a developer's machine it is named
    as missing, and the tests that need it are skipped.
    """
    if os.environ.get(wanted.override):
        return f"{wanted.override} names another"
    lines = requirement_lines(wanted.requirements)
    stamp = wanted.folder / ".stamp"
    inputs = hashlib.sha256("\n".join([sys.version, *lines]).encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == inputs:
        return f"{len(lines)} packages are there"
    shutil.rmtree(wanted.folder, ignore_errors=True)
    python = str(wanted.folder / "bin" / "python")
    what = f"environment {wanted.folder.name}"
    try:
        run_logged([sys.executable, "-m", "venv", str(wanted.folder)], what)
        # The list is complete, so pip has nothing to resolve; the check behind it proves that it is.
        pip = [python, "-m", "pip", "--disable-pip-version-check"]
        pinned = ["--no-deps", "--no-compile", "-r", str(wanted.requirements)]
        run_logged([*pip, "install", "--quiet", *pinned], what)
        run_logged([*pip, "check"], what)
        stamp.write_text(inputs)
    except BaseException as error:
        # The tests take an interpreter that exists for one that is complete.
        shutil.rmtree(wanted.folder, ignore_errors=True)
        if not isinstance(error, StepFailed) or os.environ.get("CI"):
            raise
        return f"MISSING {wanted.folder.name} (its tests are skipped): {error}"
    return f"installed {len(lines)} packages"


CCXT_NEEDS = ("certifi", "requests>=2.32,<3")
"""What ccxt imports and nothing else of ours brings."""


def ensure_ccxt() -> str:
    """Installs ccxt for the tests of its adapter, in the version of the third-party clients.

    Without its dependencies: it pins exact versions, and would take everything that it shares with us back to
    older ones than our users have. Raises StepFailed in continuous integration when that is not possible.
    """
    pins = [line for line in requirement_lines(CLIENTS / "clients.txt") if line.startswith("ccxt==")]
    wanted = hashlib.sha256("\n".join([*pins, *CCXT_NEEDS]).encode()).hexdigest()
    if stamp_matches("ccxt", wanted):
        return "is there"
    pip = [str(VENV_PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        run_logged([*pip, *CCXT_NEEDS], "what ccxt needs")
        run_logged([*pip, "--no-deps", *pins], "ccxt")
    except StepFailed as error:
        if os.environ.get("CI"):
            raise
        return f"MISSING ccxt (its tests are skipped): {error}"
    write_stamp("ccxt", wanted)
    return f"installed {', '.join(pins)}"


# --- Rust ------------------------------------------------------------------------------------------------


def rust_environment() -> dict[str, str]:
    """Environment in which cargo is found, also when a login shell has not added it to the path."""
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    return {"PATH": f"{home / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}


def rust_version() -> tuple[int, int] | None:
    """Version of the installed compiler, or None when there is none."""
    try:
        result = subprocess.run(
            ["rustc", "--version"],
            env={**os.environ, **rust_environment()},
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    match = re.match(r"rustc (\d+)\.(\d+)", result.stdout)
    return (int(match[1]), int(match[2])) if match and result.returncode == 0 else None


def ensure_rust() -> str:
    """Checks the compiler; where Debian offers rustup and we are root, installs it."""
    wanted = ".".join(map(str, MINIMUM_RUST))
    version = rust_version()
    if (version is None or version < MINIMUM_RUST) and can_install_packages():
        with contextlib.suppress(StepFailed):
            apt_install("rustup", "gcc", "libc6-dev")
            run_logged(["rustup", "default", "stable"], "Rust toolchain")
        version = rust_version()
    if version is None or version < MINIMUM_RUST:
        found = "none is installed" if version is None else f"{version[0]}.{version[1]} is installed"
        raise StepFailed(
            f"Rust {wanted} or newer is needed to build the engine, {found}.\n"
            "Install it with rustup (the Rust project's installer), or `apt-get install rustup` "
            "where the distribution has it, then `rustup default stable`."
        )
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        if not can_install_packages():
            raise StepFailed("a C linker is needed to build the engine: sudo apt-get install gcc libc6-dev")
        apt_install("gcc", "libc6-dev")
    return f"{version[0]}.{version[1]}"


def extension_inputs() -> list[Path]:
    """Every file that can change the compiled module or the installed metadata."""
    files = [ROOT / "Cargo.toml", ROOT / "Cargo.lock", ROOT / "pyproject.toml"]
    for pattern in ("*.rs", "Cargo.toml"):
        files += [path for path in (ROOT / "crates").rglob(pattern) if "target" not in path.parts]
    return [path for path in files if path.is_file()]


def extension_is_built() -> bool:
    """The compiled module lies beside the Python sources and the command is installed."""
    return any((ROOT / "src" / "tradewind").glob("_core*.so")) and (VENV / "bin" / "tradewind").exists()


def ensure_extension() -> str:
    """Builds tradewind._core (release) and installs the package in place, when any input changed."""
    wanted = content_hash(extension_inputs())
    if extension_is_built() and stamp_matches("extension", wanted):
        return "is up to date"
    env = {**rust_environment(), "VIRTUAL_ENV": str(VENV)}
    # Continuous integration refuses a stale Cargo.lock; a developer's build updates it.
    locked = ["--locked"] if os.environ.get("CI") else []
    run_logged([str(VENV / "bin" / "maturin"), "develop", "--release", *locked], "Rust module", env)
    if not extension_is_built():
        raise StepFailed("maturin reported success but tradewind._core or .venv/bin/tradewind is missing")
    write_stamp("extension", wanted)
    return "built and installed"


def ensure_faults_module() -> str:
    """Builds the module with disk faults beside the shipped one, for the tests marked `faults`."""
    wanted = content_hash(extension_inputs())
    module = ROOT / "target" / "faults" / "_core.abi3.so"
    if module.is_file() and stamp_matches("faults", wanted):
        return "is up to date"
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    locked = ["--locked"] if os.environ.get("CI") else []
    features = "faults,pyo3/extension-module"
    env = {**rust_environment(), "PYO3_PYTHON": str(VENV_PYTHON)}
    build = ["cargo", "build", "--lib", "-p", "tradewind-bindings", "--features", features, *locked]
    run_logged([*build, "--target-dir", str(target)], "module with disk faults", env)
    module.parent.mkdir(parents=True, exist_ok=True)
    fresh = module.with_suffix(".new")
    library = "lib_core.dylib" if sys.platform == "darwin" else "lib_core.so"
    shutil.copyfile(target / "debug" / library, fresh)
    fresh.replace(module)
    write_stamp("faults", wanted)
    return "built"


# --- order of steps ----------------------------------------------------------------------------------------


def steps_of(profile: str) -> list[Step]:
    """The steps of ``profile`` in the order in which they depend on each other."""
    steps = [
        Step("Python environment", ensure_virtual_environment),
        Step("Python packages", lambda: ensure_dependencies(profile)),
        Step("Rust toolchain", ensure_rust),
        Step("engine and journal", ensure_extension),
    ]
    if profile in ("dev", "test"):
        steps.append(Step("disk faults for tests", ensure_faults_module))
        steps.append(
            Step("browser", lambda: optional_program(BROWSERS, "chromium", "the console tests are skipped"))
        )
    if profile == "test":
        steps.append(Step("ccxt for its adapter", ensure_ccxt))
        for one in CLIENT_ENVIRONMENTS:
            title = f"third-party programs for tests, {one.folder.name}"
            steps.append(Step(title, lambda one=one: ensure_client_environment(one)))
    if profile == "bench":
        steps.append(
            Step("valgrind", lambda: optional_program(("valgrind",), "valgrind", "no instruction counts"))
        )
    return steps


@contextlib.contextmanager
def exclusive() -> Iterator[None]:
    """Two bootstraps of one checkout take turns instead of breaking each other's environment."""
    descriptor = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def main(arguments: list[str]) -> int:
    """Runs the steps of the named profile; returns the exit status."""
    if len(arguments) != 1 or arguments[0] not in PROFILES:
        print(f"usage: bootstrap.py {'|'.join(PROFILES)}", file=sys.stderr)
        return 1
    steps = steps_of(arguments[0])
    with exclusive():
        for number, step in enumerate(steps, start=1):
            print(f"[{number}/{len(steps)}] {step.title} … ", end="", flush=True)
            started = time.monotonic()
            try:
                outcome = step.run()
            except StepFailed as error:
                print(f"FAILED\n\n{error}", flush=True)
                return 1
            print(f"{outcome} ({time.monotonic() - started:.1f} s)", flush=True)
    return 0


if __name__ == "__main__":
    if sys.version_info < MINIMUM_PYTHON:
        wanted_python = ".".join(map(str, MINIMUM_PYTHON))
        sys.exit(f"Python {wanted_python} or newer is needed, this is {sys.version.split()[0]}")
    sys.exit(main(sys.argv[1:]))
