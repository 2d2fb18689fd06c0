"""The helper process of the preflight: it opens, submits until it is killed, or shows what a paper process
can do.

Usage: python -m tradewind.lab.preflight.child open|submit|capability|nonces [DIRECTORY]
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from pathlib import Path
from typing import Any, Final

import structlog

from tradewind.core.errors import JournalLocked

LOCKED: Final = 75
MAX_SUBMISSIONS: Final = 100_000


async def open_once(data: Path) -> int:
    """Opens the node of a directory; 75 when another process has it."""
    from tradewind.lab.preflight.durability import scratch_node

    try:
        async with await scratch_node(data):
            print("opened")
            return 0
    except JournalLocked as locked:
        print(locked)
        return LOCKED


async def submit(data: Path) -> int:
    """Submits one command after the other and prints the sequence number of each as soon as it is
    acknowledged.
    """
    from tradewind.core import commands as build
    from tradewind.lab.preflight.durability import SYSTEM, scratch_node

    async with await scratch_node(data) as node:
        for number in range(MAX_SUBMISSIONS):
            owner = number.to_bytes(32, "big")[:31] + b"\x07"
            opened = build.open_account(principal=SYSTEM, client_key=build.NO_KEY, owner_key=owner)
            [result] = await node.submit(opened)
            print(result.seq, flush=True)
    return 0


async def nonces(data: Path) -> int:
    """Gives out nonces of one key and prints each until it is killed; a refusal's code, and 1, otherwise."""
    from tradewind.venues.transport.keys import KeyFolder
    from tradewind.venues.transport.nonce import NonceError

    folder = KeyFolder(data)
    name = folder.register("kraken", "preflight").fingerprint
    try:
        lock, allocator = folder.open(name)
    except NonceError as error:
        print(error.code)
        return 1
    assert lock.held
    for _ in range(MAX_SUBMISSIONS):
        print(allocator.next(), flush=True)
        await asyncio.sleep(0)
    return 0


async def capability() -> int:
    """Trades a generated market in this process and reports sockets that were opened and code that could
    sign.
    """
    from tradewind.security import capability as fixed

    fixed.declare("paper")
    connections: list[str] = []
    sys.addaudithook(lambda event, arguments: _note_connection(connections, event, arguments))
    from tradewind.lab.preflight.parity import simulate

    orders = (await simulate(300)).orders
    print(json.dumps({"connections": connections, "signers": signers(), "orders": orders}))
    return 0


def _note_connection(connections: list[str], event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and not isinstance(arguments[1], str | bytes):
        connections.append(str(arguments[1]))


def signers() -> list[str]:
    """Constructor parameters of venue and trader, and loaded modules, that smell of signing."""
    from tradewind.security.capability import SIGNING_MODULES
    from tradewind.trader.service import TraderService
    from tradewind.trader.session import Session
    from tradewind.venues.paper.port import EnginePort, NodePort
    from tradewind.venues.paper.venue import PaperVenue

    suspects = ("sign", "secret", "private", "api_key", "apikey", "credential", "password")
    found = [
        f"{one.__name__}({name})"
        for one in (PaperVenue, TraderService, Session, NodePort, EnginePort)
        for name in inspect.signature(one).parameters
        if any(word in name.lower() for word in suspects)
    ]
    forbidden = (
        "tradewind.security.attesting",
        "tradewind.security.keyfiles",
        *SIGNING_MODULES,
        "hvac",
        "boto3",
        "cryptography",
        "eth_account",
    )
    return found + [name for name in sys.modules if name.split(".")[0] in forbidden or name in forbidden]


def _drop(*_: Any) -> Any:
    raise structlog.DropEvent


def main(arguments: list[str]) -> int:
    """The exit status of one act. Standard output carries only the act's own answer."""
    structlog.configure(processors=[_drop])
    match arguments:
        case ["open", directory]:
            return asyncio.run(open_once(Path(directory)))
        case ["submit", directory]:
            return asyncio.run(submit(Path(directory)))
        case ["nonces", directory]:
            return asyncio.run(nonces(Path(directory)))
        case ["capability"]:
            return asyncio.run(capability())
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
