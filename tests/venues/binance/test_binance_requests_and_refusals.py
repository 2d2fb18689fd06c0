"""What is signed is what is sent; what an error means is in a table, and nothing is guessed."""

from __future__ import annotations

import string
from decimal import Decimal
from urllib.parse import parse_qsl, urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tradewind.venues.binance import encode, refusals
from tradewind.venues.codes import RejectCode
from tradewind.venues.facts import facts_of
from tradewind.venues.transport.signatures import check_ed25519

NAME = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"  # of the venue's documentation
ORDER = [
    ("symbol", "LTCBTC"), ("side", "BUY"), ("type", "LIMIT"), ("timeInForce", "GTC"), ("quantity", "1"),
    ("price", "0.1"),
]  # fmt: skip


def test_the_documented_order_has_the_documented_signature() -> None:
    text = encode.signed(encode.BinanceKey(NAME, SECRET), ORDER, 1499827319559, 5_000)
    assert text.endswith("&signature=c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71")


VALUES = st.one_of(st.text(string.ascii_letters + string.digits + "_.~-", max_size=8), st.text(max_size=8))


@given(st.lists(st.tuples(st.sampled_from(["symbol", "price", "newClientOrderId"]), VALUES), max_size=5))
def test_every_value_is_percent_encoded_once(fields: list[tuple[str, str]]) -> None:
    text = encode.signed(encode.BinanceKey(NAME, SECRET), fields, 7, 3_000)
    payload, _, _ = text.rpartition("&signature=")
    assert payload == urlencode([*fields, ("recvWindow", "3000"), ("timestamp", "7")])


@given(st.integers(0, 200), st.integers(1, 255))
def test_one_changed_byte_changes_an_ed25519_signature(place: int, flip: int) -> None:
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    text = encode.signed(encode.BinanceKey("k", private), ORDER, 1, 3_000)
    payload, _, _ = text.rpartition("&signature=")
    signature = dict(parse_qsl(text))["signature"]
    public = private.public_key().public_bytes_raw()
    assert check_ed25519(public, payload.encode(), signature)
    changed = bytearray(payload.encode())
    changed[place % len(changed)] ^= flip
    assert not check_ed25519(public, bytes(changed), signature)


def test_socket_requests_are_signed_in_the_order_of_their_names() -> None:
    key = encode.BinanceKey(NAME, SECRET)
    params = encode.socket_signed(key, 1499827319559, 3_000)
    payload = f"apiKey={NAME}&recvWindow=3000&timestamp=1499827319559"
    assert params["signature"] == key.sign(payload.encode())


def test_no_repr_shows_a_secret() -> None:
    assert SECRET not in repr(encode.BinanceKey(NAME, SECRET))
    assert NAME not in repr(encode.BinanceKey(NAME, SECRET))


@given(st.text(max_size=40))
def test_only_ids_that_the_venue_takes_are_used(text: str) -> None:
    allowed = set(string.ascii_letters + string.digits + "._:/-")
    assert encode.valid_client_id(text) == (1 <= len(text) <= 36 and set(text) <= allowed)


@pytest.mark.parametrize("code", [-1000, -1001, -1006, -1007, -99999, 0, 5])
def test_what_may_have_been_executed_is_never_a_refusal(code: int) -> None:
    assert refusals.refusal_of(code, "whatever") is None


@pytest.mark.parametrize(
    ("code", "text", "expected", "preventable"),
    [
        (-2010, "Account has insufficient balance for requested action.", "INSUFFICIENT_FUNDS", True),
        (-2010, "Duplicate order sent.", "DUPLICATE_CLIENT_ID", True),
        (-2010, "Order would immediately match and take.", "POST_ONLY_WOULD_TAKE", False),
        (-2010, "Something new.", "VENUE_REJECTED", False),
        (-1013, "Filter failure: PRICE_FILTER", "OFF_TICK", True),
        (-1013, "Filter failure: LOT_SIZE", "OFF_LOT", True),
        (-1013, "Filter failure: NOTIONAL", "BELOW_MIN_NOTIONAL", True),
        (-1013, "Filter failure: PERCENT_PRICE_BY_SIDE", "OUTSIDE_BAND", True),
        (-1013, "Filter failure: MAX_NUM_ORDERS", "TOO_MANY_ORDERS", True),
        (-1013, "Filter failure: NEW_ONE", "VENUE_REJECTED", True),
        (-1013, "Market is closed.", "SYMBOL_CLOSED", False),
        (-1021, "Timestamp for this request is outside of the recvWindow.", "DEADLINE_PASSED", False),
        (-1022, "Signature for this request is not valid.", "NOT_AUTHORISED", False),
        (-1121, "Invalid symbol.", "UNKNOWN_SYMBOL", True),
        (-2011, "Unknown order sent.", "UNKNOWN_ORDER", False),
        (-1102, "Mandatory parameter 'x' was not sent.", "INVALID_REQUEST", True),
    ],
)
def test_a_definite_refusal_has_its_code(code: int, text: str, expected: str, preventable: bool) -> None:
    refusal = refusals.refusal_of(code, text)
    assert refusal is not None
    assert (refusal.code, refusal.preventable) == (RejectCode[expected], preventable)
    assert text[:20] in refusal.raw


@given(st.integers(-3_000, 0), st.text(max_size=60))
def test_every_error_has_a_meaning(code: int, text: str) -> None:
    refusal = refusals.refusal_of(code, text)
    if refusal is not None:
        assert len(refusal.raw) <= refusals.MAX_RAW_CHARS
    assert len(refusals.unknown_texts) <= refusals.MAX_UNKNOWN


@given(st.decimals(min_value=0, max_value=10**9, places=8, allow_nan=False))
def test_numbers_have_all_digits_and_no_exponent(value: Decimal) -> None:
    text = encode.number(value)
    assert "e" not in text.lower()
    assert Decimal(text) == value


def test_every_fact_has_source_and_date() -> None:
    for fact in facts_of("tradewind.venues.binance").values():
        assert fact.source_url.startswith("https://developers.binance.com/")
        assert fact.unit
