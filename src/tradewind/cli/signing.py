"""Prices that the command line signs: the key comes from a file, never from an argument."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tradewind.api.exchange_desk import price_fields
from tradewind.api.identities import IdentityError, open_identities
from tradewind.api.problems import ApiFailure
from tradewind.cli.client import Client, segment
from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.core.errors import Rejected
from tradewind.security.attesting import Signer
from tradewind.security.keyfiles import KeyFileError, read_private_key
from tradewind.security.publications import HASH_BYTES, Publication

USUAL: Final = "oracle-1"
MILLISECOND_NS: Final = 1_000_000


def signer_of(data: Path, actor: str | None, key: Path | None, pinned: str | None) -> Signer:
    """The key of `key`, else of a local identity. Raises `CommandFailure`."""
    try:
        path = open_identities(data).private_path(actor or USUAL) if key is None else key
        return Signer(read_private_key(path), _pin(pinned))
    except (IdentityError, KeyFileError) as error:
        raise CommandFailure(ExitCode.CANNOT, error.code, str(error)) from error


def _pin(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != HASH_BYTES:
        raise CommandFailure(ExitCode.CANNOT, "BAD_HEX", f"a deployment has {2 * HASH_BYTES} hex digits")
    return raw


def signed_price(
    client: Client,
    feed: str,
    money: Mapping[str, str | None],
    *,
    age_ms: int,
    source_seq: int | None,
    actor: str | None,
    key: Path | None,
    pinned: str | None,
) -> dict[str, Any]:
    """The body of a publication, signed for the platform that answers. Raises `CommandFailure`."""
    signer = signer_of(client.data, actor, key, pinned)
    shown = client.get(f"/feeds/{segment(feed)}")
    now_ns = int(client.get(f"/sources/{signer.source.hex()}")["now_ns"])
    try:
        said = Publication(
            feed=int(shown["feed"]),
            source_time_ns=now_ns - age_ms * MILLISECOND_NS,
            source_seq=now_ns if source_seq is None else source_seq,
            **price_fields(money["value"], money["confidence"], money["bid"], money["ask"]),
        )
        attestation = signer.attest(bytes.fromhex(shown["deployment"]), said)
    except ApiFailure as failure:
        raise CommandFailure(ExitCode.RED, failure.problem.name, failure.problem.detail) from failure
    except Rejected as error:
        raise CommandFailure(ExitCode.RED, error.name, error.message) from error
    return {
        **money,
        "actor": signer.source.hex(),
        "source_time_ns": said.source_time_ns,
        "source_seq": said.source_seq,
        "signature": attestation.hex(),
    }
