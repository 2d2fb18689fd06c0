"""security-config-complete: what is missing, misspelt, contradictory or out of range refuses the start."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tradewind.config import OPEN_ENVIRONMENTS, UpConfiguration
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probe import ProbeContext, count
from tradewind.readiness.probes.child import START
from tradewind.readiness.probes.drill import Facts, drill
from tradewind.readiness.record import MeasuredValue
from tradewind.trader.risk.profile import PROFILE_DIR, ConfigError, load_profile

SETTING: Final = re.compile(r'^("?[\w/]+"?)\s*=\s*(.+)$')
HEADER: Final = re.compile(r"^\[(.+)\]$")
BAD_NUMBERS: Final = ('"NaN"', '"-1"', '"Infinity"', '"1e400000000"', "0.1", "true", '""')
REFUSED_STATUS: Final = 78
START_LIMIT_S: Final = 60.0
# Pairs of changes which contradict each other: the ladder no longer ascends, an unknown act on a halt.
CONTRADICTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "ladder": ("drawdown_warn_pct", '"99"'),
    "act on a halt": ("on_halt", '"perhaps"'),
    "dead man's switch": ("dead_man", '"sometimes"'),
}


def _settings(lines: list[str]) -> Iterator[tuple[int, str, str]]:
    """Line index, table and key of every setting."""
    table = ""
    for index, line in enumerate(lines):
        header, setting = HEADER.match(line.strip()), SETTING.match(line.strip())
        if header:
            table = header[1]
        elif setting:
            yield index, table, setting[1]


def _accepted(text: str, path: Path) -> bool:
    path.write_text(text)
    try:
        load_profile(path)
    except ConfigError:
        return False
    return True


def _variants(lines: list[str]) -> Iterator[tuple[str, str, str]]:
    """Group, name and text of every broken profile."""

    def text(index: int, *replacement: str) -> str:
        return "\n".join([*lines[:index], *replacement, *lines[index + 1 :]]) + "\n"

    for index, table, key in _settings(lines):
        place = f"{table}.{key}"
        if table.startswith(("limits", "account")):
            yield "missing", place, text(index)
        yield "unknown", f"{place} misspelt beside", text(index, lines[index], f'{key.strip(chr(34))}x = "1"')
        value = lines[index].partition("=")[2].partition("#")[0].strip()
        if table.startswith(("limits", "account")) and re.fullmatch(r'"?[\d.]+"?', value):
            for bad in BAD_NUMBERS:
                yield "out of range", f"{place} = {bad}", text(index, f"{key} = {bad}")
    for name, (wanted, value) in CONTRADICTIONS.items():
        for index, _, key in _settings(lines):
            if key == wanted:
                yield "contradiction", name, text(index, f"{key} = {value}")
    yield "unknown", "table", "\n".join([*lines, "[no_such_table]", "x = 1"]) + "\n"


def _start_status(context: ProbeContext, text: str) -> int:
    """Exit status of a real start with this profile."""
    path = context.scratch / "start.toml"
    path.write_text(text)
    arguments = ["--env", context.environment, "--data", str(context.scratch / "data"), "--port", "0"]
    arguments += ["--feed", "generated", "--for", "1s"]
    # The interpreter is ours, the arguments are constants.
    result = subprocess.run(  # noqa: S603 - see above
        [sys.executable, "-c", START, "up", "--profile", str(path), *arguments],
        capture_output=True,
        timeout=START_LIMIT_S,
        check=False,
    )
    return result.returncode


def _shipped(environment: str) -> str:
    """The profile that a start in this environment takes when none is named.

    Raises CannotMeasureError for an environment that this build does not start in.
    """
    if environment not in OPEN_ENVIRONMENTS:
        raise CannotMeasureError(f"this build does not start in {environment}: it has no settings to look at")
    path = PROFILE_DIR / f"{UpConfiguration(env=environment).profile}.toml"
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CannotMeasureError(f"the profile {path.name} cannot be read: {error.strerror}") from error


def _observe(context: ProbeContext, misspelt: str | None = None) -> Facts:
    shipped = _shipped(context.environment)
    if misspelt:
        shipped = shipped.replace(misspelt, f"{misspelt}x", 1)
    lines = shipped.splitlines()
    variants = list(_variants(lines))
    if not variants:
        raise CannotMeasureError("the shipped profile states nothing")
    path = context.scratch / "variant.toml"
    accepted: dict[str, list[str]] = {"missing": [], "unknown": [], "out of range": [], "contradiction": []}
    for group, name, text in variants:
        if _accepted(text, path):
            accepted[group].append(name)
    first = {group: text for group, _, text in reversed(variants)}
    return {
        "shipped_profile_loads": _accepted(shipped, path),
        "shipped_start_status": _start_status(context, shipped),
        "variants": {group: sum(item[0] == group for item in variants) for group in accepted},
        "accepted": accepted,
        "start_status": {group: _start_status(context, text) for group, text in first.items()},
    }


def _summarise(facts: Facts) -> Mapping[str, MeasuredValue]:
    accepted: Mapping[str, Any] = facts["accepted"]
    started = [group for group, status in facts["start_status"].items() if status != REFUSED_STATUS]
    missing = int(not facts["shipped_profile_loads"] or facts["shipped_start_status"] != 0)
    wrong = len(accepted["unknown"]) + len(accepted["contradiction"]) + len(accepted["out of range"])
    tried = facts["variants"]
    return {
        "missing_settings": count(missing, 1),
        "unknown_keys_accepted": count(wrong + len(started), sum(tried.values()) - tried["missing"]),
        "limits_defaulted": count(len(accepted["missing"]), tried["missing"]),
    }


complete = drill(
    "security-config-complete",
    observe=_observe,
    broken=lambda context: _observe(context, misspelt="daily_loss_pct"),
    summarise=_summarise,
)
