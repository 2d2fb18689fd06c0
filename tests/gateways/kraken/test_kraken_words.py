"""Names, ids, numbers and nonces of the Kraken gateway."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.gateways.kraken import errors, ids, numbers
from tradewind.gateways.kraken.auth import signature, signature_matches
from tradewind.gateways.kraken.errors import KrakenError
from tradewind.gateways.kraken.nonces import RECORD, NonceError, NonceStore
from tradewind.gateways.kraken.parameters import Fields, read_form, read_json
from tradewind.gateways.kraken.symbols import Names, asset_name, pair_name
from tradewind.gateways.kraken.tokens import LIFETIME_NS, MAX_TOKENS_PER_KEY, TokenStore
from tradewind.gateways.model import Refusal
from tradewind.venues.transport.signatures import kraken as kraken_signature

MESSAGES = Path(__file__).resolve().parents[4] / "shared" / "data" / "venue-messages" / "kraken"
U64 = st.integers(0, 2**64 - 1)


@given(U64)
def test_ids_have_the_venues_form_and_give_their_number_back(number: int) -> None:
    text = ids.order_id(number)
    assert [len(part) for part in text.split("-")] == [6, 5, 6] and text[0] == "O"
    assert ids.order_number(text) == number


@given(U64)
def test_an_id_of_one_kind_is_never_taken_for_another(number: int) -> None:
    assert ids.trade_number(ids.order_id(number)) is None
    assert ids.order_number("O" + ids.trade_id(number)[1:]) is None
    assert ids.trade_number(ids.amendment_id(number, 5)) is None


@given(U64, st.integers(1, 18), st.sampled_from(ids.ALPHABET))
def test_a_mistyped_id_names_no_order(number: int, place: int, character: str) -> None:
    text = ids.order_id(number)
    if place in ids.DASHES or place >= len(text) or text[place] == character:
        return
    assert ids.order_number(text[:place] + character + text[place + 1 :]) != number


@pytest.mark.parametrize(
    "text", ["", "O", "OAAAAA-AAAAA-AAAAA", "OAAAAA-AAAAA-AAAAA1", "oaaaaa-aaaaa-aaaaaa", "O" * 19]
)
def test_what_is_no_id_has_no_number(text: str) -> None:
    assert ids.order_number(text) is None


def test_neighbouring_numbers_have_ids_that_do_not_look_alike() -> None:
    texts = [ids.order_id(number) for number in range(1, 200)]
    assert len({text[1:6] for text in texts}) > 190


def test_names_are_the_venues_own() -> None:
    pair = pair_name("BTC/USD")
    assert (pair.key, pair.alternative, pair.wsname) == ("XXBTZUSD", "XBTUSD", "XBT/USD")
    assert pair_name("SOL/USDT").key == "SOLUSDT" and pair_name("DOGE/USD").key == "XDGUSD"
    assert asset_name("DOGE").code == "XXDG" and asset_name("USDT").code == "USDT"


def test_every_form_of_a_pair_is_found_and_a_slash_comes_back_as_asked() -> None:
    names = Names(["BTC/USD", "ETH/USD", "SOL/USDT"])
    for form in ("BTC/USD", "XBT/USD", "XBTUSD", "XXBTZUSD", "BTCUSD", "xbtusd"):
        found = names.pair(form)
        assert found is not None and found.canonical == "BTC/USD"
    pair = pair_name("BTC/USD")
    assert names.key("XBT/USD", pair) == "XBT/USD" and names.key("XBTUSD", pair) == "XXBTZUSD"
    assert names.pair("BTC/EUR") is None


@pytest.mark.skipif(not MESSAGES.exists(), reason="the recorded messages are not here")
def test_names_agree_with_every_recorded_pair() -> None:
    body = json.loads((MESSAGES / "recorded" / "rest_asset_pairs_2021-04-17.json").read_text())
    checked = 0
    for key, row in body["result"].items():
        if "wsname" not in row:  # dark pools
            continue
        base, quote = ({"XBT": "BTC", "XDG": "DOGE"}.get(half, half) for half in row["wsname"].split("/"))
        pair = pair_name(f"{base}/{quote}")
        assert (pair.key, pair.alternative, pair.wsname) == (key, row["altname"], row["wsname"])
        assert (asset_name(base).code, asset_name(quote).code) == (row["base"], row["quote"])
        checked += 1
    assert checked > 250


@given(st.decimals(0, 10**9, places=8))
def test_fixed_numbers_keep_every_digit_and_never_use_an_exponent(value: Decimal) -> None:
    text = numbers.fixed(value, 8)
    assert Decimal(text) == value and len(text.partition(".")[2]) == 8 and "E" not in text
    assert Decimal(numbers.at_least(value, 3)) == value


def test_a_number_is_never_rounded_to_fit() -> None:
    with pytest.raises(ValueError, match="more than 1 decimals"):
        numbers.fixed(Decimal("0.11"), 1)


@pytest.mark.parametrize("text", ["", ".", "1.", "-1", "+1", "1e5", "NaN", "0x1", "1 ", "1,0", "١", "9" * 40])
def test_only_plain_decimals_are_numbers(text: str) -> None:
    assert numbers.parse_decimal(text) is None


def test_moments_are_read_in_both_forms() -> None:
    assert numbers.parse_moment_ns("1970-01-01T00:00:01.000000005Z") == 1_000_000_005
    assert numbers.parse_moment_ns("1970-01-01T01:00:00+01:00") == 0
    assert numbers.parse_moment_ns("1.5") == 1_500_000_000
    for text in ("", "yesterday", "2024-01-01T00:00:00", "2024-13-01T00:00:00Z", "-5"):
        assert numbers.parse_moment_ns(text) is None


@given(st.integers(0, 4 * 10**18))
def test_printed_times_read_back(at_ns: int) -> None:
    assert numbers.parse_moment_ns(numbers.rfc3339(at_ns, 9)) == at_ns
    assert bytes(numbers.seconds(at_ns, 9)).decode() == f"{at_ns // 10**9}.{at_ns % 10**9:09d}"


def test_every_refusal_has_a_text_of_the_venues_form() -> None:
    assert set(errors.TEXTS) == set(Refusal)
    assert all(text[0] == "E" and ":" in text for text in errors.TEXTS.values())


def test_a_form_is_read_strictly() -> None:
    assert read_form("a=1&b=%2B5&c=") == {"a": "1", "b": "+5", "c": ""}
    assert read_form("orders[0][price]=1&orders[0][vol]=2&ids[]=x&ids[]=y") == {
        "orders": {"0": {"price": "1", "vol": "2"}}, "ids": {"0": "x", "1": "y"},
    }  # fmt: skip
    for text in ("a=1&a=2", "a", "a=1&a[b]=2", "a[x]=1&a[x]=2"):
        with pytest.raises(KrakenError):
            read_form(text)


def test_json_numbers_keep_their_digits() -> None:
    fields = Fields(read_json(b'{"price":0.10000000000000000001,"n":12345678901234567890,"flag":true}'))
    assert fields.text("price") == "0.10000000000000000001" and fields.text("n") == "12345678901234567890"
    assert fields.flag("flag") and not fields.flag("other")
    for body in (b"[1]", b"{", b'{"a":NaN}', b"\xff"):
        with pytest.raises(KrakenError):
            read_json(body)


@pytest.mark.parametrize(
    ("name", "value"), [("volume", "-1"), ("volume", "1e3"), ("volume", [1]), ("n", "2.5"), ("n", "9999")]
)
def test_bad_values_name_their_field(name: str, value: object) -> None:
    fields = Fields({name: value})
    with pytest.raises(KrakenError) as caught:
        fields.decimal(name) if name == "volume" else fields.whole(name, 0, 0, 100)
    assert caught.value.text == f"EGeneral:Invalid arguments:{name}"


# ---- nonces ----------------------------------------------------------------------------------------------


async def test_a_nonce_is_accepted_once_and_only_upwards(tmp_path: Path) -> None:
    store = NonceStore(tmp_path / "nonces")
    await store.accept("a", 5)
    for nonce in (5, 4, 0):
        with pytest.raises(NonceError):
            await store.accept("a", nonce)
    await store.accept("b", 1)
    await store.accept("a", 2**64 - 1)
    for bad in (None, -1, 2**64):
        with pytest.raises(NonceError):
            await store.accept("b", bad)
    store.close()


async def test_nonces_survive_a_crash_with_a_torn_record(tmp_path: Path) -> None:
    path = tmp_path / "nonces"
    store = NonceStore(path)
    for nonce in (7, 9, 11):
        await store.accept("a", nonce)
    await store.accept("b", 3)
    # no close: the process dies; the disk holds a half of the next record
    path.write_bytes(path.read_bytes() + b"x" * (RECORD.size - 3))
    again = NonceStore(path)
    assert (again.last("a"), again.last("b")) == (11, 3)
    with pytest.raises(NonceError):
        await again.accept("a", 11)
    await again.accept("a", 12)
    assert NonceStore(path).last("a") == 12


async def test_the_nonce_file_is_written_anew_while_it_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tradewind.gateways.kraken.nonces.COMPACT_RECORDS", 5)
    path = tmp_path / "nonces"
    store = NonceStore(path)
    for nonce in range(1, 40):
        await asyncio.gather(*(store.accept(key, nonce) for key in "abc"))
        assert path.stat().st_size <= 6 * RECORD.size
    again = NonceStore(path)
    assert [again.last(key) for key in "abc"] == [39, 39, 39]


async def test_the_nonce_file_stays_small(tmp_path: Path) -> None:
    path = tmp_path / "nonces"
    store = NonceStore(path)
    for nonce in range(50):
        await store.accept("a", nonce)
    store.close()
    assert path.stat().st_size == RECORD.size and path.stat().st_mode & 0o077 == 0


# ---- tokens ----------------------------------------------------------------------------------------------


def test_tokens_last_fifteen_minutes() -> None:
    tokens = TokenStore()
    text = tokens.issue("key", 1_000)
    assert tokens.key_of(text, 1_000 + LIFETIME_NS - 1) == "key"
    assert tokens.key_of(text, 1_000 + LIFETIME_NS) is None
    assert tokens.key_of("other", 1_000) is None


def test_a_key_has_a_bounded_number_of_tokens() -> None:
    tokens = TokenStore()
    first = tokens.issue("key", 0)
    other = tokens.issue("other", 0)
    last = [tokens.issue("key", 0) for _ in range(MAX_TOKENS_PER_KEY)][-1]
    assert tokens.key_of(first, 1) is None
    assert tokens.key_of(last, 1) == "key" and tokens.key_of(other, 1) == "other"


# ---- signatures ------------------------------------------------------------------------------------------


@given(
    st.binary(min_size=1, max_size=80),
    st.sampled_from(["/0/private/AddOrder", "/0/private/Balance"]),
    st.integers(0, 2**64 - 1),
    st.binary(max_size=200),
)
def test_server_and_connector_sign_alike_and_any_change_is_noticed(
    secret: bytes, path: str, nonce: int, body: bytes
) -> None:
    given_ = signature(secret, path, str(nonce), body)
    assert given_ == kraken_signature(secret, path, str(nonce), body)
    assert signature_matches(secret, path, str(nonce), body, given_)
    assert not signature_matches(secret, path, str(nonce), body + b"&", given_)
    assert not signature_matches(secret, path + "s", str(nonce), body, given_)
    assert not signature_matches(secret + b"x", path, str(nonce), body, given_)
    for bad in ("", "not base64!", given_[:-4], "A" * len(given_), "ü"):
        assert not signature_matches(secret, path, str(nonce), body, bad)
