"""Checks of configuration, machine and process: V01, V03, V04, V19, V25, V26, V27."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tradewind.config import EFFECTIVE_CONFIG, ConfigurationRefused, UpConfiguration, check_environment
from tradewind.core import enums, event_types
from tradewind.core.hashing import native_tables
from tradewind.lab.preflight.durability import child
from tradewind.lab.preflight.model import CheckFailed, CheckSkipped, Context, Evidence, require
from tradewind.observe.logs import redact_text
from tradewind.trader.risk.profile import ConfigConflict, ConfigError, load_profile

MAX_CLOCK_OFFSET_MS: Final = 100
DAY_S: Final = 86_400
DEFAULT_DAILY_BYTES: Final = 1 << 30
RESERVE_BYTES: Final = 256 << 20
MAX_RSS_MB: Final = 200
MAX_SCANNED_BYTES: Final = 256 << 20
MAX_SCANNED_FILES: Final = 10_000
START_DEADLINE_S: Final = 30.0
MEMORY_RUN_S: Final = 3
# The journal holds public keys only, in binary records; its reserve file holds nothing.
BINARY: Final = (".twj", ".bin")
TOKENS: Final = "api*.token"
_REQUIREMENT: Final = re.compile(r"^([A-Za-z0-9._-]+)\s*(?:\[[^]]*\])?\s*(?:>=\s*([0-9.]+))?")
_MODULE_OF: Final = {"prometheus-client": "prometheus_client"}
_SECRET_LOOKS: Final = (
    re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    re.compile(rb"\bAKIA[0-9A-Z]{16}\b"),
    re.compile(rb"(?i)\b(?:api[_-]?secret|secret[_-]?key|private[_-]?key)\b\W{1,4}[A-Za-z0-9+/=_-]{20,}"),
)


async def configuration(context: Context) -> Evidence:
    """V01: the profile is complete, and a typo, a double or a missing limit in it would be refused."""
    profile = load_profile(context.at("V01.profile", context.profile))
    text = context.profile.read_text(encoding="utf-8")
    broken = {
        "typo": text.replace("max_order_notional_quote", "max_order_notional_qoute", 1),
        "missing": re.sub(r"(?m)^daily_loss_pct.*$", "", text),
        "not a number": re.sub(r'(?m)^daily_loss_pct = "[^"]*"', 'daily_loss_pct = "NaN"', text),
    }
    refused = {}
    for name, content in broken.items():
        path = context.scratch / f"{name.replace(' ', '-')}.toml"
        path.write_text(content, encoding="utf-8")
        refused[name] = _refusal(path, None)
    double = context.scratch / "double.toml"
    double.write_text('[limits]\nmax_order_notional_quote = "1"\n', encoding="utf-8")
    refused["double"] = _refusal(context.profile, double)
    require(refused["double"].startswith("ConfigConflict"), f"a limit stated twice gave {refused['double']}")
    effective = _effective(context.data)
    return {
        "profile": profile.name,
        "profile_hash": profile.hash,
        "refused": refused,
        "configuration": effective,
    }


def _refusal(path: Path, overlay: Path | None) -> str:
    try:
        load_profile(path, overlay)
    except ConfigConflict as conflict:
        return f"ConfigConflict: {conflict}"
    except ConfigError as error:
        return f"ConfigError: {error}"
    raise CheckFailed(f"a broken profile was accepted: {path.name}")


def _effective(data: Path) -> Any:
    """The configuration of the last start, None before the first. Raises `CheckFailed` when it is damaged."""
    try:
        content = json.loads((data / EFFECTIVE_CONFIG).read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise CheckFailed(f"{EFFECTIVE_CONFIG} is damaged: {error}") from error
    return content


async def disk(context: Context) -> Evidence:
    """V03: free space for two days at the measured rate, and the reserve for cancels."""
    daily, basis = _daily_bytes(context.data)
    free = context.free_bytes(context.scratch if not context.data.exists() else context.data)
    need = 2 * daily + RESERVE_BYTES
    require(free >= need, f"{free} bytes are free, two days and the reserve need {need}")
    return {"free_bytes": free, "needed_bytes": need, "daily_bytes": daily, "basis": basis}


def _daily_bytes(data: Path) -> tuple[int, str]:
    segments = sorted((data / "journal").glob("*.twj"))
    if not segments:
        return DEFAULT_DAILY_BYTES, "assumed: there is no journal yet"
    # Segments are preallocated; the blocks that the file system really holds say what was written.
    used = sum(one.stat().st_blocks * 512 for one in segments)
    age_s = max(1.0, time.time() - min(one.stat().st_ctime for one in segments))
    measured = int(used * DAY_S / age_s) if age_s > 3_600 else DEFAULT_DAILY_BYTES
    return max(
        measured, 1 << 20
    ), "measured" if age_s > 3_600 else "assumed: the journal is younger than an hour"


async def clock(context: Context) -> Evidence:
    """V04: this machine's clock against the venue's. Without a reachable venue there is nothing to compare
    with.
    """
    from tradewind.venues.transport.http import PublicHttpSession

    path = "/api/v3/time"
    try:
        async with PublicHttpSession(context.venue_url, frozenset({path}), timeout_s=2.0) as http:
            before_ns = context.clock_ns()
            answer = json.loads(await http.get(path))
            after_ns = context.clock_ns()
    except Exception as error:
        raise CheckSkipped(f"no venue answered, the offset is unknown: {type(error).__name__}") from error
    offset_ms = abs(answer["serverTime"] - (before_ns + after_ns) // 2_000_000)
    round_trip_ms = (after_ns - before_ns) // 1_000_000
    # Half of the round trip is uncertainty of the measurement itself.
    bound = MAX_CLOCK_OFFSET_MS + round_trip_ms // 2
    require(offset_ms <= bound, f"the clock is {offset_ms} ms off, {MAX_CLOCK_OFFSET_MS} ms are allowed")
    return {"offset_ms": offset_ms, "round_trip_ms": round_trip_ms}


async def capability(context: Context) -> Evidence:
    """V19: a trading paper process with every flag set to live opens no socket and has nothing that signs."""
    for env in ("testnet", "canary", "live"):
        try:
            check_environment(UpConfiguration(env=env, data=context.data))
        except ConfigurationRefused:
            continue
        raise CheckFailed(f"environment {env} would start without a certificate")
    flags = {
        "TRADEWIND_ENV": "live",
        "TRADEWIND_LIVE": "1",
        "BINANCE_API_KEY": "k",
        "BINANCE_API_SECRET": "s",
    }
    kept = {name: os.environ.get(name) for name in flags}
    os.environ.update(flags)
    try:
        output, status = await child(context, "capability")
    finally:
        for name, value in kept.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    require(status == 0, f"the trading process failed: {output[-300:]}")
    facts = json.loads(output.splitlines()[-1])
    require(facts["orders"] > 0, "it did not trade, so it proves nothing")
    require(not facts["connections"], f"sockets were opened to {facts['connections']}")
    require(not facts["signers"], f"something could sign: {facts['signers']}")
    return {"orders_traded": facts["orders"], "connections": [], "signers": []}


async def dependencies(context: Context) -> Evidence:
    """V25: what the package requires is importable in a sufficient version, and the compiled engine is its
    own.
    """
    versions = {}
    for line in context.at("V25.requirements", importlib.metadata.requires("tradewind") or []):
        if "extra ==" in line:
            continue
        match = _REQUIREMENT.match(line)
        require(match is not None, f"requirement {line!r} cannot be read")
        assert match is not None
        name, least = match.group(1), match.group(2) or "0"
        try:
            present = importlib.metadata.version(name)
            importlib.import_module(_MODULE_OF.get(name, name))
        except (importlib.metadata.PackageNotFoundError, ImportError) as error:
            raise CheckFailed(f"{name} is required and cannot be imported: {error}") from error
        require(_numbers(present) >= _numbers(least), f"{name} {present} is older than {least}")
        versions[name] = present
    tables = context.at("V25.tables", native_tables())
    ours = {event.name: int(event) for event in enums.EventKind}
    theirs = {
        re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper(): code for name, code in tables["events"].items()
    }
    require(
        ours == theirs,
        f"the engine's events are not those of this package: {sorted(set(ours) ^ set(theirs))}",
    )
    require(set(event_types.EVENT_TYPES) == set(theirs.values()), "event types and engine differ")
    return {"packages": versions, "events": len(theirs), "errors": tables["errors"]}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


async def secrets(context: Context) -> Evidence:
    """V26: no key of this installation, and nothing that looks like one, in logs and configuration."""
    known = {value for value in _own_secrets(context.data) if len(value) >= 16}
    scanned, found = 0, []
    for path in _scanned_files(context.data):
        content = path.read_bytes()
        scanned += 1
        if any(secret in content for secret in known) or any(look.search(content) for look in _SECRET_LOOKS):
            found.append(str(path.relative_to(context.data)))
    require(not found, f"secrets lie in {found}")
    redact = context.at("V26.redact", redact_text)
    planted = "api_key=AbCdEf0123456789 Authorization: Bearer abcdefghijklmnop"
    cleaned = redact(planted)
    require(
        "AbCdEf" not in cleaned and "abcdefghijklmnop" not in cleaned, f"redaction let through: {cleaned}"
    )
    return {"files": scanned, "secrets_known": len(known), "redaction": cleaned}


def _own_secrets(data: Path) -> Iterator[bytes]:
    for path in [*sorted(data.glob(TOKENS)), *sorted((data / "keys").glob("*.key"))]:
        if path.is_file():
            text = path.read_bytes().strip()
            yield text
            try:
                yield bytes.fromhex(text.decode("ascii"))
            except (ValueError, UnicodeDecodeError):
                continue


def _scanned_files(data: Path) -> list[Path]:
    """Everything below the data directory except the secrets themselves; bounded in number and bytes."""
    files: list[Path] = []
    total = 0
    for path in sorted(data.rglob("*")):
        inside_keys = path.parent.name == "keys" and path.parent.parent == data
        is_token = path.parent == data and path.match(TOKENS)
        if not path.is_file() or inside_keys or is_token:
            continue
        if path.suffix in BINARY:
            continue
        total += path.stat().st_size
        require(len(files) < MAX_SCANNED_FILES, f"more than {MAX_SCANNED_FILES} files in {data}")
        require(total <= MAX_SCANNED_BYTES, f"more than {MAX_SCANNED_BYTES} bytes in {data}: narrow the scan")
        files.append(path)
    return files


async def memory(context: Context) -> Evidence:
    """V27: resident memory of a whole platform that trades, and the time to import the package."""
    data = context.scratch / "data"
    command = [*context.command_line, "up", "--data", str(data), "--port", "0", "--feed", "generated"]
    process = await asyncio.create_subprocess_exec(
        *command,
        "--for",
        f"{MEMORY_RUN_S}s",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    peak_mb = 0.0
    async with asyncio.timeout(START_DEADLINE_S):
        while process.returncode is None:
            peak_mb = max(peak_mb, _resident_mb(process.pid))
            try:
                await asyncio.wait_for(asyncio.shield(process.wait()), 0.1)
            except TimeoutError:
                continue
    output = await process.stdout.read() if process.stdout is not None else b""
    require(process.returncode == 0, f"the platform did not end in order: {output.decode()[-300:]}")
    require(0 < peak_mb < MAX_RSS_MB, f"{peak_mb:.0f} MB resident, {MAX_RSS_MB} are allowed")
    return {"peak_rss_mb": round(peak_mb, 1), "import_s": await _import_seconds(context)}


def _resident_mb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


async def _import_seconds(context: Context) -> float:
    script = (
        "import time; t = time.perf_counter(); import tradewind.core.engine; print(time.perf_counter() - t)"
    )
    process = await asyncio.create_subprocess_exec(
        context.command_line[0], "-c", script, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return round(float(output), 3)
