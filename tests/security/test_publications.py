"""What a source signs, what an attestation proves, and the files that keys come from."""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tradewind.core.errors import InvalidField, Rejected
from tradewind.security.attesting import Signer, attest
from tradewind.security.keyfiles import KeyFileError, read_private_key
from tradewind.security.publications import (
    ATTESTATION_BYTES,
    DOMAIN,
    Publication,
    check,
    deployment_id,
    message,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SOURCE = KEY.public_key().public_bytes_raw()
HERE, THERE = deployment_id(b"here"), deployment_id(b"there")
SAID = Publication(
    feed=3, value=60_000_000_000, confidence=5_000_000, bid=59_999_000_000, ask=60_001_000_000,
    source_time_ns=1_700_000_000_000_000_000, source_seq=77,
)  # fmt: skip
FIELDS = SAID.__struct_fields__


def refusal(attestation: bytes, deployment: bytes, source: bytes, said: Publication) -> str:
    with pytest.raises(Rejected) as error:
        check(attestation, deployment, source, said)
    return str(error.value.name)


def test_the_message_is_domain_deployment_source_and_numbers_of_fixed_size() -> None:
    body = struct.pack(
        "<Iqqqqqq", 3, SAID.value, SAID.confidence, SAID.bid, SAID.ask, SAID.source_time_ns, 77
    )
    assert message(HERE, SOURCE, SAID) == DOMAIN + HERE + SOURCE + body
    assert len(DOMAIN) == 32 and HERE != THERE


def test_a_number_that_does_not_fit_is_refused_before_anything_is_signed() -> None:
    for name, value in (("feed", -1), ("value", 2**63), ("source_seq", -1)):
        with pytest.raises(InvalidField):
            attest(KEY, HERE, msgspec.structs.replace(SAID, **{name: value}))


def test_an_honest_attestation_holds_and_is_the_same_every_time() -> None:
    attestation = attest(KEY, HERE, SAID)
    check(attestation, HERE, SOURCE, SAID)
    assert attestation == attest(KEY, HERE, SAID) and len(attestation) == ATTESTATION_BYTES


def test_every_single_cause_has_its_refusal() -> None:
    good = attest(KEY, HERE, SAID)
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    assert refusal(b"", HERE, SOURCE, SAID) == "PUBLICATION_UNSIGNED"
    assert refusal(attest(KEY, THERE, SAID), HERE, SOURCE, SAID) == "PUBLICATION_FOREIGN"
    assert refusal(attest(other, HERE, SAID), HERE, SOURCE, SAID) == "PUBLICATION_FORGED"
    assert refusal(good[:-1], HERE, SOURCE, SAID) == "PUBLICATION_FORGED"
    # A foreign signature under the name of this deployment is a forgery.
    relabelled = HERE + attest(KEY, THERE, SAID)[32:]
    assert refusal(relabelled, HERE, SOURCE, SAID) == "PUBLICATION_FORGED"
    assert refusal(good, HERE, b"\xff" * 32, SAID) == "PUBLICATION_FORGED"


@given(st.sampled_from(FIELDS), st.integers(min_value=1, max_value=2**31 - 1))
def test_a_change_of_any_field_breaks_the_signature(field: str, change: int) -> None:
    changed = msgspec.structs.replace(SAID, **{field: getattr(SAID, field) ^ change})
    assert refusal(attest(KEY, HERE, SAID), HERE, SOURCE, changed) == "PUBLICATION_FORGED"


@given(st.integers(min_value=0, max_value=ATTESTATION_BYTES * 8 - 1))
def test_a_flipped_bit_of_an_attestation_never_passes(bit: int) -> None:
    good = bytearray(attest(KEY, HERE, SAID))
    good[bit // 8] ^= 1 << bit % 8
    assert refusal(bytes(good), HERE, SOURCE, SAID) in ("PUBLICATION_FORGED", "PUBLICATION_FOREIGN")


def test_a_signer_with_a_pinned_deployment_signs_for_no_other() -> None:
    pinned = Signer(KEY, HERE)
    assert pinned.source == SOURCE
    assert pinned.attest(HERE, SAID) == attest(KEY, HERE, SAID)
    with pytest.raises(Rejected, match="another deployment"):
        pinned.attest(THERE, SAID)
    assert Signer(KEY).attest(THERE, SAID) == attest(KEY, THERE, SAID)


def test_a_key_file_must_be_private_and_whole_and_is_never_repeated(tmp_path: Path) -> None:
    path = tmp_path / "source.key"
    secret = bytes(range(32)).hex()

    def code() -> str:
        with pytest.raises(KeyFileError) as error:
            read_private_key(path)
        assert secret[:16] not in str(error.value)
        return error.value.code

    assert code() == "KEY_NOT_FOUND"
    path.write_text(secret + "\n")
    path.chmod(0o640)
    assert code() == "KEY_EXPOSED"
    path.chmod(0o600)
    assert read_private_key(path).public_key().public_bytes_raw() == SOURCE
    for damaged in (secret[:-2], "x" + secret[1:], "", secret + "00"):
        path.write_text(damaged)
        assert code() == "KEY_DAMAGED"
    path.write_bytes(b"\xff" * 32)
    assert code() == "KEY_DAMAGED"
