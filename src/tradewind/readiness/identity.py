"""What exactly is running: the hash of everything shipped, and of the effective configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import rfc8785

from tradewind.readiness.errors import EvidenceStoreError
from tradewind.readiness.hashing import hash_bytes, hash_file, hash_named

CONFIGURATION_FILE: Final = "effective-config.json"
# Keys that an environment overlay may set differently; everything else must be equal between environments.
OVERLAY_KEYS: Final = frozenset(
    {"env", "data", "port", "host", "feed", "speed", "duration", "candidate", "log_level"}
)
COMPILED_COMPONENT: Final = "bindings"
ROOT_COMPONENT: Final = "package"
MAX_SHIPPED_FILES: Final = 20_000


@dataclass(frozen=True, slots=True)
class Identity:
    """Hashes that evidence is bound to (BLAKE3, hexadecimal). ``components`` maps name to hash."""

    build_hash: str
    config_hash: str
    base_hash: str
    components: Mapping[str, str]


def component_hashes(package: Path) -> dict[str, str]:
    """Hash per component of an installed package directory.

    A folder is a component; files beside the folders are ``package``; the compiled module, which holds the
    engine, the journal and the bindings in one object, is ``bindings``. Raises EvidenceStoreError.
    """
    parts: dict[str, list[tuple[str, str]]] = {}
    files = [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    if not files or len(files) > MAX_SHIPPED_FILES:
        raise EvidenceStoreError(
            f"{len(files)} shipped files in {package.name}; 1 to {MAX_SHIPPED_FILES} expected"
        )
    for path in files:
        relative = path.relative_to(package)
        parts.setdefault(_component_of(relative), []).append((relative.as_posix(), hash_file(path)))
    return {name: hash_named(entries) for name, entries in sorted(parts.items())}


def _component_of(relative: Path) -> str:
    if len(relative.parts) > 1:
        return relative.parts[0]
    return COMPILED_COMPONENT if relative.name.startswith("_core") else ROOT_COMPONENT


def read_configuration(data_dir: Path) -> dict[str, Any]:
    """The effective configuration that ``up`` left in the data directory; empty before the first start.

    Raises EvidenceStoreError when the file is there but unreadable: unknown is not empty.
    """
    path = data_dir / CONFIGURATION_FILE
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EvidenceStoreError(f"{path} is not readable: {error}") from error
    if not isinstance(content, dict):
        raise EvidenceStoreError(f"{path} does not hold one object")
    return content


def current_identity(environment: str, data_dir: Path, package: Path | None = None) -> Identity:
    """Identity of the running build with the configuration of ``data_dir`` in ``environment``."""
    components = component_hashes(package or Path(__file__).resolve().parent.parent)
    configuration = {**read_configuration(data_dir), "env": environment}
    base = {key: value for key, value in configuration.items() if key not in OVERLAY_KEYS}
    return Identity(
        build_hash=hash_named(components.items()),
        config_hash=_hash_configuration(configuration),
        base_hash=_hash_configuration(base),
        components=components,
    )


def _hash_configuration(configuration: Mapping[str, Any]) -> str:
    try:
        return hash_bytes(rfc8785.dumps(dict(configuration)))
    except rfc8785.CanonicalizationError as error:
        raise EvidenceStoreError(f"the configuration has no canonical form: {error}") from error
