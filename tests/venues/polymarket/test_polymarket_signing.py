"""Wallets and typed data of Polymarket, against vectors that its own client made, and against forgeries."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.venues.polymarket import wallet as signing
from tradewind.venues.polymarket.typed_data import EXCHANGES, OrderMessage, auth_digest, order_digest
from tradewind.venues.polymarket.wallet import (
    HALF_ORDER,
    BadSignature,
    SigningUnavailable,
    Wallet,
    address_bytes,
    checksum_address,
    recover,
)

pytestmark = pytest.mark.skipif(
    not signing.available(), reason=f"the packages of {signing.EXTRA} are not here"
)

PUBLISHED_KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
"""The first key of every local test chain."""
ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
AUTH_SIGNATURE = (
    "f62319a987514da40e57e2f4d7529f7bac38f0355bd88bb5adbb3768d80de6c1682518e0af677d5260366425f4361e7b70c25ae232aff0ab"
    "2331e2b164a1aedc1b"
)
ORDER_SIGNATURE = (
    "808bcc18d94bfe59daf619655ab83ff5701a82c0685255a7e3aeeeff7a7f83501984f86f573ef685b749c11eeacc57ead0c148a58b5460ee"
    "4a1c45708a290c511c"
)


def message(**changes: object) -> OrderMessage:
    fields = {
        "salt": 479249096354,
        "maker": ADDRESS,
        "signer": ADDRESS,
        "token_id": 1234,
        "maker_amount": 100_000_000,
        "taker_amount": 50_000_000,
        "side": 0,
        "signature_type": 0,
        "timestamp": 1_700_000_000_000,
    }
    return OrderMessage(**fields | changes)  # type: ignore[arg-type]


def test_a_wallet_proof_equals_the_one_of_the_venues_client() -> None:
    wallet = Wallet.from_text(PUBLISHED_KEY)
    assert wallet.address() == ADDRESS
    assert wallet.sign(auth_digest(ADDRESS, "10000000", 23, 80_002)).hex() == AUTH_SIGNATURE


def test_a_signed_order_equals_the_one_of_the_venues_client() -> None:
    digest = order_digest(message(), 137, EXCHANGES[False])
    assert Wallet.from_text(PUBLISHED_KEY).sign(digest).hex() == ORDER_SIGNATURE
    assert checksum_address(recover(digest, bytes.fromhex(ORDER_SIGNATURE))) == ADDRESS


@pytest.mark.parametrize(
    "change",
    [{"salt": 1}, {"token_id": 1235}, {"maker_amount": 1}, {"side": 1}, {"timestamp": 1},
     {"signature_type": 1}, {"metadata": "0x" + "01" * 32}],
)  # fmt: skip
def test_every_field_is_part_of_the_hash(change: dict[str, object]) -> None:
    assert order_digest(message(**change), 137, EXCHANGES[False]) != order_digest(
        message(), 137, EXCHANGES[False]
    )
    assert order_digest(message(), 137, EXCHANGES[True]) != order_digest(message(), 137, EXCHANGES[False])
    assert order_digest(message(), 80_002, EXCHANGES[False]) != order_digest(message(), 137, EXCHANGES[False])


@settings(max_examples=50, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(min_size=0, max_size=70))
def test_no_bytes_make_a_signature_of_somebody_else(digest: bytes, signature: bytes) -> None:
    try:
        assert recover(digest, signature) != address_bytes(ADDRESS)
    except BadSignature as error:
        assert signature.hex() not in str(error) or not signature


@settings(max_examples=30, deadline=None)
@given(st.binary(min_size=32, max_size=32))
def test_signatures_come_back_and_are_in_their_low_form(digest: bytes) -> None:
    wallet = Wallet.from_text(PUBLISHED_KEY)
    made = wallet.sign(digest)
    assert recover(digest, made) == address_bytes(ADDRESS)
    assert int.from_bytes(made[32:64]) <= HALF_ORDER
    assert wallet.sign(digest) == made


def test_a_key_never_shows_itself() -> None:
    wallet = Wallet.from_text(PUBLISHED_KEY)
    for text in (repr(wallet), str(wallet), f"{wallet}"):
        assert PUBLISHED_KEY[2:] not in text and str(wallet.secret) not in text
    for bad in ("", "0x12", "zz" * 32, "00" * 32):
        with pytest.raises(BadSignature) as caught:
            Wallet.from_text(bad).address()
        assert not bad or bad not in str(caught.value)


def test_without_the_packages_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    signing._modules.cache_clear()
    monkeypatch.setattr(signing.importlib, "import_module", missing)
    try:
        assert not signing.available()
        with pytest.raises(SigningUnavailable, match=r"tradewind\[polymarket\]"):
            signing.keccak(b"")
    finally:
        signing._modules.cache_clear()
