"""Producer keys: one Ed25519 key per environment, and which key may speak for which environment.

In sim and paper the key lives in the data directory, readable by its owner only. Above paper it is issued by
the secrets manager; that adapter does not exist yet, so nothing can be signed for testnet and above, and
nothing signed is believed there.
"""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tradewind.readiness.errors import EvidenceDefectError, Reason, SigningKeyError
from tradewind.readiness.hashing import hash_bytes
from tradewind.readiness.record import (
    PAYLOAD_TYPE,
    Envelope,
    EvidenceRecord,
    Signature,
    decode_base64,
    decode_envelope,
    decode_statement,
    encode_statement,
    pre_authentication_encoding,
)

LOCAL_KEY_ENVIRONMENTS: Final = ("sim", "paper")
KEY_BYTES: Final = 32
KEY_ID_DIGITS: Final = 16


class KeyRing:
    """The producer keys of one data directory."""

    def __init__(self, data_dir: Path) -> None:
        self._directory = data_dir / "keys"

    def _path(self, environment: str, suffix: str) -> Path:
        return self._directory / f"producer-{environment}.{suffix}"

    def public_key(self, environment: str) -> Ed25519PublicKey | None:
        """The key that may sign for ``environment``, or None when no key is trusted for it."""
        if environment not in LOCAL_KEY_ENVIRONMENTS:
            return None
        try:
            raw = bytes.fromhex(self._path(environment, "pub").read_text().strip())
            return Ed25519PublicKey.from_public_bytes(raw)
        except (OSError, ValueError):
            return None

    def private_key(self, environment: str) -> Ed25519PrivateKey:
        """The signing key, created on first use. Raises SigningKeyError."""
        if environment not in LOCAL_KEY_ENVIRONMENTS:
            raise SigningKeyError(
                f"evidence of {environment} is signed by a key of the secrets manager, which is not built yet"
            )
        path = self._path(environment, "key")
        try:
            if not path.exists():
                self._create(environment)
            return Ed25519PrivateKey.from_private_bytes(_read_secret(path))
        except (OSError, ValueError) as error:
            raise SigningKeyError(f"{path.name} is not usable: {error}") from error

    def _create(self, environment: str) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = Ed25519PrivateKey.generate()
        # The public half first: a crash between the two leaves no key that nobody trusts.
        self._path(environment, "pub").write_text(key.public_key().public_bytes_raw().hex() + "\n")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        descriptor = os.open(self._path(environment, "key"), flags, 0o600)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(key.private_bytes_raw())
            handle.flush()
            os.fsync(handle.fileno())


def _read_secret(path: Path) -> bytes:
    mode = path.stat().st_mode
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SigningKeyError(
            f"{path.name} is open to other users (mode {stat.S_IMODE(mode):o}); expected 600"
        )
    secret = path.read_bytes()
    if len(secret) != KEY_BYTES:
        raise SigningKeyError(f"{path.name} holds {len(secret)} bytes, not {KEY_BYTES}")
    return secret


def key_id(environment: str, key: Ed25519PublicKey) -> str:
    """Environment and fingerprint: a signature says for which environment it was made."""
    return f"{environment}:{hash_bytes(key.public_bytes_raw())[:KEY_ID_DIGITS]}"


def sign_record(record: EvidenceRecord, keys: KeyRing) -> bytes:
    """The signed envelope of ``record``, with the key of its environment. Raises SigningKeyError."""
    key = keys.private_key(record.environment)
    payload = encode_statement(record)
    signature = key.sign(pre_authentication_encoding(payload))
    envelope = Envelope(
        payload_type=PAYLOAD_TYPE,
        payload=base64.b64encode(payload).decode(),
        signatures=[
            Signature(key_id(record.environment, key.public_key()), base64.b64encode(signature).decode())
        ],
    )
    return msgspec.json.encode(envelope)


def open_envelope(data: bytes, keys: KeyRing) -> EvidenceRecord:
    """Checks the signature and returns the record. Raises EvidenceDefectError with BadSignature."""
    envelope, payload = decode_envelope(data)
    given = envelope.signatures[0]
    environment = given.keyid.partition(":")[0]
    key = keys.public_key(environment)
    if key is None or given.keyid != key_id(environment, key):
        raise EvidenceDefectError(Reason.BAD_SIGNATURE, f"key {given.keyid!r} is not trusted here")
    try:
        key.verify(decode_base64(given.sig), pre_authentication_encoding(payload))
    except (InvalidSignature, ValueError) as error:
        raise EvidenceDefectError(
            Reason.BAD_SIGNATURE, "the signature does not match the statement"
        ) from error
    record = decode_statement(payload)
    if record.environment != environment:
        raise EvidenceDefectError(
            Reason.BAD_SIGNATURE, f"a key of {environment} cannot sign for {record.environment}"
        )
    return record
