"""A new strategy: a plain module with its test, a trader file and a project file. Nothing is overwritten."""

from __future__ import annotations

import keyword
import re
import sys
from importlib.resources import files
from pathlib import Path

from ..discovery import SHIPPED

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
FILES = {
    "strategy.py.txt": "{name}.py",
    "test_strategy.py.txt": "test_{name}.py",
    "trader.toml.txt": "trader.toml",
    "pyproject.toml.txt": "pyproject.toml",
    "README.md.txt": "README.md",
}


class ScaffoldError(ValueError):
    """A strategy that cannot be begun here: a bad name, or files that exist already."""

    code = "ScaffoldError"


def class_name(name: str) -> str:
    """`dip_buyer` becomes `DipBuyer`."""
    return "".join(part.capitalize() for part in name.split("_"))


def write(name: str, directory: Path) -> list[Path]:
    """Writes all files into `directory`, which is made when it is missing. Raises `ScaffoldError`; then
    nothing was written.
    """
    if not NAME.fullmatch(name) or keyword.iskeyword(name) or name.endswith("_"):
        raise ScaffoldError(f"{name!r} is no name: small letters, digits and _, a letter first, at most 40")
    if name in SHIPPED or name in sys.stdlib_module_names or name in {"tradewind", "test"}:
        raise ScaffoldError(f"{name!r} is the name of something else already")
    if not class_name(name):
        raise ScaffoldError(f"{name!r} makes no name of a class")
    targets = {source: directory / target.format(name=name) for source, target in FILES.items()}
    present = [str(path) for path in targets.values() if path.exists() or path.is_symlink()]
    if directory.exists() and not directory.is_dir():
        present = [str(directory)]
    if present:
        raise ScaffoldError(f"exists already: {', '.join(present)}")
    directory.mkdir(parents=True, exist_ok=True)
    folder = files(__package__).joinpath("files")
    for source, path in targets.items():
        path.write_text(_filled(folder.joinpath(source).read_text(encoding="utf-8"), name), encoding="utf-8")
    return list(targets.values())


def _filled(template: str, name: str) -> str:
    words = name.replace("_", " ").capitalize()
    marks = {"NAME": name, "CLASS": class_name(name), "TITLE": words, "DASHED": name.replace("_", "-")}
    for mark, text in marks.items():
        template = template.replace(f"@{mark}@", text)
    return template
