"""Times during which a venue wants to be left alone: 429, 418, 403, lockout, throttle (T4.3, T4.10)."""

from __future__ import annotations

from typing import Final

import msgspec

from .verdicts import SECOND_NS

MAX_RETRY_AFTER_S: Final = 3 * 24 * 3_600
RETRY_AFTER_MISSING_S: Final = 60
BAN_MISSING_S: Final = 120
FIREWALL_S: Final = 300
LOCKOUT_S: Final = 900
MAX_SCOPES: Final = 4_096


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing of this scope goes out before `until_ns`. `pages`: an operator has to know at once."""

    until_ns: int
    reason: str
    pages: bool = False


class Blocks:
    """The blocks in force by scope; "" is the whole venue. A later end replaces an earlier one."""

    def __init__(self) -> None:
        self._by_scope: dict[str, Block] = {}

    def add(self, scope: str, block: Block) -> None:
        """Begins or lengthens a block."""
        present = self._by_scope.get(scope)
        if present is not None and present.until_ns >= block.until_ns:
            return
        if present is None and len(self._by_scope) >= MAX_SCOPES:
            scope = ""  # better the whole venue than a block that is forgotten
        self._by_scope[scope] = block

    def find(self, scopes: tuple[str, ...], now_ns: int) -> Block | None:
        """The block that lasts longest among these scopes and the whole venue; ended ones are dropped."""
        found: Block | None = None
        for scope in ("", *scopes):
            block = self._by_scope.get(scope)
            if block is None:
                continue
            if block.until_ns <= now_ns:
                del self._by_scope[scope]
            elif found is None or block.until_ns > found.until_ns:
                found = block
        return found

    def put_back(self, ahead_ns: int) -> None:
        """The time was ahead by so much when these blocks began: by the right one they end earlier."""
        for scope, block in self._by_scope.items():
            self._by_scope[scope] = msgspec.structs.replace(block, until_ns=block.until_ns - ahead_ns)

    def state(self, now_ns: int) -> dict[str, tuple[int, str, bool]]:
        """What is left of every block, in ns."""
        return {
            scope: (block.until_ns - now_ns, block.reason, block.pages)
            for scope, block in self._by_scope.items()
            if block.until_ns > now_ns
        }

    def restore(self, state: dict[str, tuple[int, str, bool]], now_ns: int, elapsed_ns: int) -> None:
        """Blocks that were saved `elapsed_ns` ago."""
        for scope, (left_ns, reason, pages) in state.items():
            if left_ns > elapsed_ns:
                until_ns = now_ns + left_ns - elapsed_ns
                self.add(scope, Block(until_ns=until_ns, reason=reason, pages=pages))


def retry_after_ns(text: str | None, missing_s: int = RETRY_AFTER_MISSING_S) -> int:
    """Length of a Retry-After header in ns. What cannot be read counts as missing, three days is the most."""
    if text is None or not text.isascii() or not text.isdigit():
        return missing_s * SECOND_NS
    return min(int(text[:9]), MAX_RETRY_AFTER_S) * SECOND_NS
