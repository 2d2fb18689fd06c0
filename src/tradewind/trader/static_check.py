"""What a strategy's file must not use (T14.1), found by reading it, with the line.

A strategy sees time, data and its own orders through its context and nowhere else. This check reads the
source; it is a help for honest authors, not a wall against hostile ones: a file that is loaded can do
whatever Python can.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import msgspec

MODULES: dict[str, str] = {
    **dict.fromkeys(("time", "sched", "calendar"), "time comes from context.now_ns"),
    **dict.fromkeys(("random", "secrets", "uuid"), "chance comes from context.random"),
    **dict.fromkeys(
        (
            "socket",
            "ssl",
            "http",
            "urllib",
            "requests",
            "aiohttp",
            "httpx",
            "websockets",
            "ftplib",
            "smtplib",
        ),
        "a strategy has no network",
    ),
    **dict.fromkeys(
        ("os", "io", "pathlib", "shutil", "tempfile", "glob", "sqlite3", "shelve", "dbm", "mmap", "fcntl"),
        "a strategy has no files and no environment",
    ),
    **dict.fromkeys(
        (
            "threading",
            "multiprocessing",
            "concurrent",
            "asyncio",
            "subprocess",
            "signal",
            "_thread",
            "contextvars",
        ),
        "a strategy has no threads, processes or event loop",
    ),
    **dict.fromkeys(("importlib", "ctypes", "runpy", "builtins", "gc", "sys", "pickle"), "not in a strategy"),
}
CALLS: dict[str, str] = {
    **dict.fromkeys(("open", "input", "print"), "a strategy has no files and no terminal"),
    **dict.fromkeys(("eval", "exec", "compile", "__import__", "breakpoint"), "not in a strategy"),
    **dict.fromkeys(("id", "hash"), "differs from run to run"),
}
CLOCKS = frozenset({"now", "utcnow", "today"})
GENERATORS = frozenset({"numpy", "np", "scipy"})


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One use of something that a strategy must not use."""

    line: int
    what: str
    why: str


def findings(text: str) -> list[Finding]:
    """All of them, in order of their lines. Raises `SyntaxError`."""
    tree = ast.parse(text)
    found = [Finding(line=line, what=what, why=why) for line, what, why in _walk(tree)]
    return sorted(found, key=lambda one: (one.line, one.what))


def _walk(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                for alias in node.names:
                    yield from _module(node.lineno, alias.name)
            case ast.ImportFrom(module=str() as module, level=0):
                yield from _module(node.lineno, module)
                if module == "datetime":
                    continue
            case ast.Call():
                yield from _call(node)
            case ast.Attribute(attr="random", value=ast.Name(id=name)) if name in GENERATORS:
                yield node.lineno, f"{name}.random", "chance comes from context.random"
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                yield node.lineno, f"global {', '.join(names)}", "state of a run belongs to the object"
            case ast.For(iter=iterated) | ast.comprehension(iter=iterated):
                if isinstance(iterated, ast.Set) or _makes_set(iterated):
                    yield iterated.lineno, "a loop over a set", "its order differs from run to run"
            case ast.AsyncFunctionDef(name=name):
                yield node.lineno, f"async def {name}", "callbacks are plain functions"


def _module(line: int, name: str) -> Iterator[tuple[int, str, str]]:
    root = name.partition(".")[0]
    if root in MODULES:
        yield line, f"import of {name}", MODULES[root]


def _call(node: ast.Call) -> Iterator[tuple[int, str, str]]:
    match node.func:
        case ast.Name(id=name) if name in CALLS:
            yield node.lineno, f"{name}()", CALLS[name]
        case ast.Attribute(attr=name, value=value) if name in CLOCKS and _is_clock(value):
            yield node.lineno, f"{ast.unparse(node.func)}()", "time comes from context.now_ns"


def _is_clock(value: ast.expr) -> bool:
    """`datetime.now`, `datetime.datetime.now`, `date.today`."""
    text = ast.unparse(value)
    return text.rpartition(".")[2] in {"datetime", "date", "Timestamp"}


def _makes_set(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"set", "frozenset"}
    )
