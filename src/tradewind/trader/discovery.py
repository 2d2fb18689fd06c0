"""Where strategies come from: shipped names, entry points of installed packages, and plain Python files.

A source is `market_maker` (shipped), a name that an installed package registers in the entry point group
`tradewind.strategies`, or `path/to/file.py:Class`. What is wrong with a source is said precisely, and
nothing is half loaded. Loading a file runs it: only files that their operator trusts belong here.
"""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
import traceback
from collections.abc import Iterable, Mapping
from decimal import Decimal
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import msgspec

from .hosting.host import ManifestError
from .hosting.host import check_manifest as check_hostable
from .parameters import ParameterError, ParameterSet, build, declarations
from .strategy import Manifest, Strategy, StrategyBase

GROUP = "tradewind.strategies"
SHIPPED: dict[str, str] = {
    "market_maker": "tradewind.trader.strategies.market_making:MarketMaking",
    "mean_reversion": "tradewind.trader.strategies.mean_reversion:MeanReversion",
    "breakout": "tradewind.trader.strategies.breakout:Breakout",
    "outcome_reference": "tradewind.trader.strategies.outcome_reference:OutcomeReference",
    "none": "tradewind.trader.strategies.idle:Idle",
}
MAX_SOURCE_BYTES = 1_000_000
CALLBACKS = tuple(name for name in vars(StrategyBase) if name.startswith("on_"))
NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


class StrategyError(ValueError):
    """A strategy that cannot be found, loaded or built. `source` is what was asked for, `problem` a short
    stable word (missing, syntax, fails, no_class, wrong_base, parameters, manifest, twice), `line` a line of
    its file where one is known.
    """

    code = "StrategyError"

    def __init__(self, source: str, problem: str, reason: str, line: int | None = None) -> None:
        self.source, self.problem, self.line = source, problem, line
        super().__init__(f"strategy {source}: {reason}")


class StrategyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy that may be named. `origin` is `shipped` or the package that registers it."""

    name: str
    origin: str
    place: str


def available() -> list[StrategyInfo]:
    """Everything that has a name, without loading it. Raises `StrategyError` for a name given twice."""
    infos = [StrategyInfo(name=name, origin="shipped", place=place) for name, place in SHIPPED.items()]
    for entry in entry_points(group=GROUP):
        package = entry.dist.name if entry.dist is not None else "unknown"
        infos.append(StrategyInfo(name=entry.name, origin=package, place=entry.value))
    seen: dict[str, StrategyInfo] = {}
    for info in infos:
        other = seen.setdefault(info.name, info)
        if other is not info:
            reason = f"two have this name: {other.place} ({other.origin}) and {info.place} ({info.origin})"
            raise StrategyError(info.name, "twice", reason)
    return infos


def find(source: str) -> type[Strategy]:
    """The class of a strategy. Raises `StrategyError`."""
    if ".py" in source:
        return _from_file(source)
    infos = {info.name: info for info in available()}
    if source not in infos:
        from difflib import get_close_matches

        near = get_close_matches(source, infos, n=3) or list(infos)
        raise StrategyError(source, "missing", f"there is none of this name; there are {', '.join(near)}")
    info = infos[source]
    try:
        found = EntryPoint(info.name, info.place, GROUP).load()
    except Exception as error:
        raise StrategyError(source, "fails", f"{info.place} cannot be loaded: {error!r}") from error
    return _checked_class(source, found)


def _from_file(source: str) -> type[Strategy]:
    place, _, name = source.rpartition(":") if not source.endswith(".py") else (source, "", "")
    path = Path(place)
    if path.suffix != ".py":
        raise StrategyError(source, "missing", "write path/to/file.py:Class")
    module = load_file(path, source)
    own = {
        key: value
        for key, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__ and _lacks(value) == []
    }
    if not name:
        if len(own) != 1:
            names = ", ".join(own) or "none"
            raise StrategyError(source, "no_class", f"name the class, as in {path}:Class; it has {names}")
        return _checked_class(source, next(iter(own.values())))
    if not hasattr(module, name):
        there = ", ".join(own) or "no strategy"
        raise StrategyError(source, "no_class", f"{path} has no {name}; it has {there}")
    return _checked_class(source, getattr(module, name))


def load_file(path: Path, source: str = "") -> ModuleType:
    """The module of a file; the same bytes are loaded once. Its own folder is searched last for imports.

    Raises `StrategyError` for a missing file, a syntax error (with its line) and whatever loading raises.
    """
    source = source or str(path)
    code, text = read_source(path, source)
    digest = hashlib.blake2b(str(path.resolve()).encode() + b"\0" + code, digest_size=8).hexdigest()
    name = f"tradewind_strategy_{path.stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    try:
        compiled = compile(text, str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise StrategyError(source, "syntax", f"{path}:{line}: {error}", line) from error
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    folder = str(path.resolve().parent)
    sys.path.append(folder)
    try:
        exec(compiled, module.__dict__)  # noqa: S102 - running the operator's own file is the purpose
    except Exception as error:
        del sys.modules[name]
        line = _line_in(error, str(path))
        raise StrategyError(source, "fails", f"{path}:{line} raises {error!r}", line) from error
    finally:
        sys.path.remove(folder)
    return module


def read_source(path: Path, source: str = "") -> tuple[bytes, str]:
    """Bytes and text of a strategy's file. Raises `StrategyError`."""
    source = source or str(path)
    try:
        if path.stat().st_size > MAX_SOURCE_BYTES:
            raise StrategyError(source, "missing", f"{path} is larger than {MAX_SOURCE_BYTES} bytes")
        code = path.read_bytes()
        return code, code.decode()
    except OSError as error:
        raise StrategyError(source, "missing", f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise StrategyError(source, "syntax", f"{path} is not UTF-8 text: {error}") from error


def _line_in(error: BaseException, path: str) -> int | None:
    """The last line of the file in the trace of an error."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return lines[-1] if lines else None


def _lacks(found: object) -> list[str]:
    return [name for name in CALLBACKS if not callable(getattr(found, name, None))]


def _checked_class(source: str, found: object) -> type[Strategy]:
    """A class with every callback and declared parameters. Raises `StrategyError`."""
    if not inspect.isclass(found):
        raise StrategyError(source, "wrong_base", f"{found!r} is no class")
    lacking = _lacks(found)
    if lacking:
        reason = f"{found.__name__} lacks {', '.join(lacking)}: derive it from StrategyBase"
        raise StrategyError(source, "wrong_base", reason)
    parameters_of(cast("type[Strategy]", found), source)
    return cast("type[Strategy]", found)


def parameters_of(found: type[Strategy], source: str = "") -> type[ParameterSet]:
    """The declared parameters of a strategy. Raises `StrategyError`."""
    source = source or found.__name__
    parameters = getattr(found, "Parameters", None)
    if not (inspect.isclass(parameters) and issubclass(parameters, ParameterSet)):
        reason = f"{found.__name__} needs a class Parameters, derived from ParameterSet"
        raise StrategyError(source, "parameters", reason)
    try:
        declarations(parameters)
    except (TypeError, NameError) as error:
        raise StrategyError(source, "parameters", str(error)) from error
    return parameters


def presets(found: type[Strategy]) -> dict[str, ParameterSet]:
    """Named parameter sets of a strategy, `default` first."""
    own: Mapping[str, ParameterSet] = getattr(found, "presets", {})
    return {"default": parameters_of(found)()} | dict(own)


def make(
    source: str,
    symbols: Iterable[str],
    parameters: Mapping[str, object] | None = None,
    *,
    preset: str = "default",
    environment: str = "sim",
    outside: Iterable[str] = (),
) -> Strategy:
    """A strategy, ready to run: `parameters` over a named set, checked, and its manifest checked.

    Raises `StrategyError` or `ParameterError`.
    """
    found = find(source)
    named = presets(found)
    if preset not in named:
        reason = f"there is no parameter set {preset!r}; there are {', '.join(named)}"
        raise StrategyError(source, "parameters", reason)
    chosen = build(parameters_of(found), parameters or {}, base=named[preset], environment=environment)
    traded, seen = tuple(symbols), tuple(outside)
    if not traded or len(set(traded)) != len(traded):
        raise StrategyError(source, "manifest", "symbols must be at least one, each different")
    more: dict[str, Any] = {"outside": seen} if seen or takes_outside(found) else {}
    if seen and not takes_outside(found):
        raise StrategyError(source, "manifest", f"{found.__name__} looks at no outside symbols")
    try:
        strategy = cast("Any", found)(traded, chosen, environment=environment, **more)
    except ParameterError:
        raise
    except Exception as error:
        line = _line_in(error, inspect.getfile(found))
        raise StrategyError(source, "fails", f"cannot be built: {error!r}, line {line}", line) from error
    check_manifest(source, strategy, traded, seen)
    return cast("Strategy", strategy)


def takes_outside(found: type[Strategy]) -> bool:
    """Whether a strategy looks at symbols that it does not trade."""
    return "outside" in inspect.signature(found).parameters


def check_manifest(
    source: str, strategy: Strategy, symbols: tuple[str, ...], outside: tuple[str, ...] = ()
) -> None:
    """Raises `StrategyError` for a manifest that is missing, says nonsense or cannot be hosted, naming all of
    it.
    """
    manifest = getattr(strategy, "manifest", None)
    if not isinstance(manifest, Manifest):
        raise StrategyError(source, "manifest", "self.manifest is no Manifest")
    wrong = [text for text, bad in _manifest_faults(manifest, symbols, outside) if bad]
    try:
        check_hostable(manifest, symbols, outside)
    except ManifestError as error:
        wrong.append(str(error))
    if wrong:
        raise StrategyError(source, "manifest", "the manifest is wrong: " + "; ".join(wrong))


def _manifest_faults(
    manifest: Manifest, symbols: tuple[str, ...], outside: tuple[str, ...]
) -> list[tuple[str, bool]]:
    """What hosting does not look at."""
    edge, loss = manifest.expected_edge_bps, manifest.max_loss_pct
    bounded_loss = isinstance(loss, Decimal) and loss.is_finite() and 0 <= loss <= 100
    return [
        (f"name {manifest.name!r}", not NAME.fullmatch(manifest.name)),
        ("version is empty", not manifest.version),
        (f"symbols {manifest.symbols} are not {symbols}", tuple(manifest.symbols) != symbols),
        (f"outside {manifest.outside} is not {outside}", tuple(manifest.outside) != outside),
        ("expected_holding_s is negative", manifest.expected_holding_s < 0),
        (f"expected_edge_bps {edge}", not isinstance(edge, Decimal) or not edge.is_finite()),
        (f"max_loss_pct {loss}", not bounded_loss),
        ("cost_model is empty", not manifest.cost_model),
    ]
