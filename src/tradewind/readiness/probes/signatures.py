"""Signatures of prices at the edge of a real node: what a source did not sign never reaches the engine."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from structlog.testing import capture_logs

from tradewind.core import commands, journal
from tradewind.core.engine import Grant
from tradewind.core.enums import Role
from tradewind.core.errors import Rejected
from tradewind.node.limits import NodeLimits
from tradewind.node.publications import PublicationGate, unattested
from tradewind.node.service import NodeService
from tradewind.readiness.errors import CannotMeasureError
from tradewind.readiness.probes.drill import case
from tradewind.readiness.probes.exchange import DAY_NS, SECOND_NS, STAFF, START_NS, genesis, key_of
from tradewind.security.attesting import attest
from tradewind.security.publications import HASH_BYTES, Publication

KEYS: Final = tuple(
    Ed25519PrivateKey.from_private_bytes(key_of(f"signing source {number}")) for number in range(3)
)
PUBLIC: Final = tuple(key.public_key().public_bytes_raw() for key in KEYS)
WEIGHTS: Final = (34, 33, 33)
VALUE: Final = 100_000_000
NO_FEED: Final = 0xFFFF_FFFF
ELSEWHERE: Final = key_of("another deployment")
QUIET: Final = NodeLimits(tick_interval_s=3_600.0, heartbeat_s=3_600.0, space_reserved_bytes=0)
Gate = Callable[[bytes], PublicationGate]


class _Edge:
    """A node with two feeds of three sources, and the way of a publication into it."""

    def __init__(self, node: NodeService) -> None:
        self.node = node
        self.seq = 0

    async def set_up(self) -> None:
        risk = STAFF[Role.RISK]
        for symbol in ("FIRST", "SECOND"):
            await self._must(
                "RegisterFeed",
                risk,
                symbol=symbol,
                quorum=2,
                interval_ms=1_000,
                max_confidence_ppm=10_000,
                max_deviation_bp=200,
                fallback=NO_FEED,
            )
        for feed in (0, 1):
            for source, weight in zip(PUBLIC, WEIGHTS, strict=True):
                await self._must("SetFeedSource", risk, feed=feed, weight=weight, source=source)

    async def _must(self, name: str, principal: bytes, **fields: Any) -> None:
        [result] = await self.node.submit(self.record(name, principal, **fields))
        if not result.accepted:
            raise CannotMeasureError(f"the set-up was refused with {result.name}")

    def record(self, name: str, principal: bytes, **fields: Any) -> bytes:
        self.seq += 1
        return commands.build(name, principal=principal, client_key=self.seq.to_bytes(16, "little"), **fields)

    def said(self, **changes: int) -> Publication:
        self.seq += 1
        return Publication(
            **{
                "feed": 0,
                "value": VALUE,
                "confidence": 1_000,
                "bid": VALUE - 1_000,
                "ask": VALUE + 1_000,
                "source_time_ns": self.node.now_ns(),
                "source_seq": self.seq,
                **changes,
            }
        )

    async def ask(self, source: bytes, said: Publication, attestation: bytes) -> str:
        """Name of the refusal, empty when the price was taken."""
        record = self.record("PublishPrice", source, **msgspec.structs.asdict(said))
        try:
            [result] = await self.node.submit(record, [attestation] if attestation else [])
        except Rejected as error:
            return str(error.name)
        return result.name

    async def state(self) -> bytes:
        return (await self.node.state_hashes())[0]


async def _forged(edge: _Edge) -> list[dict[str, Any]]:
    """Every way in which a price is not what its source signed for here: refused, and nothing has changed."""
    deployment = edge.node.deployment
    said = edge.said()
    good = attest(KEYS[0], deployment, said)
    other = msgspec.structs.replace
    attempts: list[tuple[str, bytes, Publication, bytes, str]] = [
        ("missing", PUBLIC[0], said, b"", "PUBLICATION_UNSIGNED"),
        ("cut short", PUBLIC[0], said, good[:-1], "PUBLICATION_FORGED"),
        ("another key", PUBLIC[0], said, attest(KEYS[1], deployment, said), "PUBLICATION_FORGED"),
        ("another source", PUBLIC[1], said, good, "PUBLICATION_FORGED"),
        ("another feed", PUBLIC[0], other(said, feed=1), good, "PUBLICATION_FORGED"),
        ("another deployment", PUBLIC[0], said, attest(KEYS[0], ELSEWHERE, said), "PUBLICATION_FOREIGN"),
        (
            "another deployment under this name",
            PUBLIC[0],
            said,
            deployment + attest(KEYS[0], ELSEWHERE, said)[HASH_BYTES:],
            "PUBLICATION_FORGED",
        ),
    ]
    for field in ("value", "confidence", "bid", "ask", "source_time_ns", "source_seq"):
        changed = other(said, **{field: getattr(said, field) + 1})
        attempts.append((f"another {field}", PUBLIC[0], changed, good, "PUBLICATION_FORGED"))
    cases = []
    for name, source, publication, attestation, code in attempts:
        before = await edge.state()
        answer = await edge.ask(source, publication, attestation)
        cases.append(case(f"signature: {name}", [code, True], [answer, await edge.state() == before]))
    return cases


async def _honest(edge: _Edge) -> list[dict[str, Any]]:
    """The source's own signature passes once."""
    said = edge.said()
    good = attest(KEYS[0], edge.node.deployment, said)
    seen = [await edge.ask(PUBLIC[0], said, good), await edge.ask(PUBLIC[0], said, good)]
    return [case("signature: honest, then replayed", ["", "PUBLISH_OUT_OF_ORDER"], seen)]


async def _observe(folder: Path, gate: Gate | None) -> list[dict[str, Any]]:
    expiry_ns = START_NS + 360 * DAY_NS
    now_ns = START_NS + SECOND_NS
    node = await NodeService.start(
        folder,
        genesis=genesis([Grant(source, Role.ORACLE, expiry_ns) for source in PUBLIC]),
        limits=QUIET,
        clock=lambda: now_ns,
        segment_bytes=1 << 20,
        reserve_bytes=0,
    )
    async with node:
        if gate is not None:
            node.publications = gate(node.deployment)
        edge = _Edge(node)
        await edge.set_up()
        cases = [*await _forged(edge), *await _honest(edge)]
        _, holes = unattested(node.deployment, journal.batches(node.journal_path))
    cases.append(case("signature: every price in the log is proven by it", 0, len(holes)))
    return cases


def forged_prices(scratch: Path, gate: Gate | None = None) -> list[dict[str, Any]]:
    """Cases of forged, missing, foreign and replayed signatures. `gate` replaces the node's own check, for
    mutations.
    """
    folder = scratch / "signatures"
    shutil.rmtree(folder, ignore_errors=True)
    with capture_logs() as lines:
        cases = asyncio.run(_observe(folder, gate))
    refusals = sum(any(str(part).startswith("PUBLICATION_") for part in _parts(one)) for one in cases)
    told = sum(line["event"] == "publication_refused" for line in lines)
    return [*cases, case("signature: every refusal is told in the log of the process", refusals, told)]


def _parts(one: dict[str, Any]) -> list[Any]:
    expected = one["expected"]
    return expected if isinstance(expected, list) else [expected]
