"""Prices that their source has signed (protocol P6.1.1): what is signed, by whom, and for which deployment.

A source is known by its Ed25519 public key. It signs one message per publication, of fixed size and with a
domain of its own, so that no other bytes that it ever signs can be taken for a price:

    domain (32) | deployment (32) | source (32) | feed u32 | value i64 | confidence i64 | bid i64 | ask i64
    | source time i64 ns | source sequence u64          numbers in little-endian order, money in micro-units

The *attestation* that travels beside the command names the deployment and carries the signature: 96 bytes. A
signature for another deployment is told apart from a forged one, and neither counts. The same message again
is stopped by its sequence number, in the engine (`PUBLISH_OUT_OF_ORDER`).
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from tradewind.core.errors import InvalidField, reject
from tradewind.core.hashing import blake3

DOMAIN: Final = b"tradewind price publication v1".ljust(32, b"\0")
DEPLOYMENT_DOMAIN: Final = b"tradewind deployment v1".ljust(32, b"\0")
HASH_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
ATTESTATION_BYTES: Final = HASH_BYTES + SIGNATURE_BYTES
SIGNATURE_REFUSALS: Final = ("PUBLICATION_UNSIGNED", "PUBLICATION_FORGED", "PUBLICATION_FOREIGN")
_BODY: Final = struct.Struct("<IqqqqqQ")


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """What a source says: micro-units of the settlement asset per whole unit, 0 for no bid or ask."""

    feed: int
    value: int
    confidence: int
    bid: int
    ask: int
    source_time_ns: int
    source_seq: int


def deployment_id(genesis: bytes) -> bytes:
    """What tells one installation from every other (32 bytes): the hash of the genesis of its log, which
    holds the moment at which it began and the keys of its staff.
    """
    return blake3(DEPLOYMENT_DOMAIN + genesis)


def message(deployment: bytes, source: bytes, said: Publication) -> bytes:
    """The bytes that are signed. Raises `InvalidField` for a number that does not fit its place."""
    try:
        body = _BODY.pack(
            said.feed,
            said.value,
            said.confidence,
            said.bid,
            said.ask,
            said.source_time_ns,
            said.source_seq,
        )
    except struct.error as error:
        raise InvalidField("PublishPrice", "fields", str(said), str(error)) from error
    return DOMAIN + deployment + source + body


def check(attestation: bytes, deployment: bytes, source: bytes, said: Publication) -> None:
    """Returns when `source` has signed exactly this for exactly this deployment.

    Raises:
        Rejected: PUBLICATION_UNSIGNED, PUBLICATION_FOREIGN, PUBLICATION_FORGED.
    """
    # Not above: a process that sees no publication has nothing loaded that could sign anything (V19).
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if not attestation:
        raise reject("PUBLICATION_UNSIGNED")
    if len(attestation) != ATTESTATION_BYTES:
        raise reject("PUBLICATION_FORGED", bound=ATTESTATION_BYTES, given=len(attestation))
    if attestation[:HASH_BYTES] != deployment:
        raise reject("PUBLICATION_FOREIGN")
    try:
        key = Ed25519PublicKey.from_public_bytes(source)
        key.verify(attestation[HASH_BYTES:], message(deployment, source, said))
    except (InvalidSignature, ValueError) as error:
        raise reject("PUBLICATION_FORGED") from error
