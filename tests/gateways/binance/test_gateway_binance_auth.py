"""Who may ask what, and when: signatures, keys, rights, time."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from urllib.parse import quote

import pytest
from binance_world import SYMBOL, World
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as some

from tradewind.gateways.binance.authentication import (
    Authenticator,
    signature_holds,
    signed_payload,
    sorted_payload,
)
from tradewind.gateways.binance.errors import BinanceError
from tradewind.gateways.binance.parameters import Parameters
from tradewind.gateways.keys import ApiKey, Right, new_key
from tradewind.gateways.model import PlaceRequest, Refusal, Refused

ORDER = {
    "symbol": SYMBOL,
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.1",
    "price": "59000",
}
MS = 1_000_000
NOW_NS = 1_700_000_000_000 * MS

# the venue's published examples: the HMAC key is the secret's text itself
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
QUERY = "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC"
BODY = "quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
GOLDEN = [
    (f"{QUERY}&{BODY}", "", "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"),
    ("", f"{QUERY}&{BODY}", "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"),
    (QUERY, BODY, "0fd168b8ddb4876a0358a8d14d0c9f3da0e9b20c5d52b2a00fcf7d1c602f9a77"),
]


@pytest.mark.parametrize(("query", "body", "signature"), GOLDEN)
def test_the_payload_is_query_then_body_as_in_the_published_examples(
    query: str, body: str, signature: str
) -> None:
    place = f"{body}&signature={signature}" if body else ""
    payload, found = signed_payload(query if body else f"{query}&signature={signature}", place)
    assert found == signature
    assert hmac.new(SECRET.encode(), payload, hashlib.sha256).hexdigest() == signature


def test_a_socket_request_signs_its_parameters_by_name_as_in_the_published_example() -> None:
    values = {
        "symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01000000",
        "price": "52000.00", "newOrderRespType": "ACK", "recvWindow": "100", "timestamp": "1645423376532",
        "apiKey": "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A", "signature": "later",
    }  # fmt: skip
    digest = hmac.new(SECRET.encode(), sorted_payload(values), hashlib.sha256).hexdigest()
    assert digest == "cc15477742bd704c29492d96c7ead9414dfd8e0ec4a00f947bb5bb454ddbd08a"


HMAC_KEY = new_key("demo")
PRIVATE = Ed25519PrivateKey.generate()
EDWARDS_KEY = ApiKey(
    key="ed", account="demo", secret=PRIVATE.public_key().public_bytes_raw(), algorithm="ed25519"
)


def sign(key: ApiKey, payload: bytes) -> str:
    if key.algorithm == "ed25519":
        return base64.b64encode(PRIVATE.sign(payload)).decode()
    return hmac.new(key.secret, payload, hashlib.sha256).hexdigest()


@given(
    payload=some.binary(min_size=1, max_size=200), place=some.integers(min_value=0), bit=some.integers(0, 7)
)
@pytest.mark.parametrize("key", [HMAC_KEY, EDWARDS_KEY], ids=["hmac", "ed25519"])
def test_one_flipped_bit_anywhere_breaks_a_signature(
    key: ApiKey, payload: bytes, place: int, bit: int
) -> None:
    signature = sign(key, payload)
    assert signature_holds(key, payload, signature)
    changed = bytearray(payload)
    changed[place % len(payload)] ^= 1 << bit
    assert not signature_holds(key, bytes(changed), signature)
    text = bytearray(signature.encode())
    spot = place % (len(text) - 3)
    text[spot] = ord("0") if text[spot] != ord("0") else ord("1")
    assert not signature_holds(key, payload, text.decode())


@given(text=some.text(max_size=90))
def test_no_text_is_a_signature_by_accident_nor_breaks_the_check(text: str) -> None:
    assert not signature_holds(HMAC_KEY, b"payload", text)
    assert not signature_holds(EDWARDS_KEY, b"payload", text)


class OneKey:
    """A key store with one key."""

    def __init__(self) -> None:
        self.failures = 0

    def find(self, key: str) -> ApiKey | None:
        return HMAC_KEY if key == HMAC_KEY.key else None

    def count_failure(self, key: str, now_ns: int) -> bool:
        self.failures += 1
        return False

    def locked(self, key: str, now_ns: int) -> bool:
        return False


def timed(sent: str, window: str | None = None) -> int:
    """Code of a request that was sent at a time, 0 when it is let in; and it expires when its window does."""
    values = {"timestamp": sent} | ({} if window is None else {"recvWindow": window})
    try:
        identity = Authenticator(OneKey()).timed(HMAC_KEY, Parameters(values), NOW_NS)
    except BinanceError as error:
        return error.code
    unit = 1_000 if len(sent) > 14 else MS
    assert identity.valid_until_ns == int(sent) * unit + int(float(window or 5_000) * MS)
    return 0


@given(offset_ms=some.integers(-70_000, 70_000), window_ms=some.integers(0, 60_000))
def test_a_request_is_let_in_from_a_second_ahead_to_the_end_of_its_window(
    offset_ms: int, window_ms: int
) -> None:
    now_ms = NOW_NS // MS
    wanted = 0 if offset_ms < 1_000 and -offset_ms <= window_ms else -1021
    assert timed(str(now_ms + offset_ms), str(window_ms)) == wanted
    assert timed(str((now_ms + offset_ms) * 1_000), str(window_ms)) == wanted


@pytest.mark.parametrize(
    ("sent", "window", "code"),
    [
        ("", None, -1105),
        ("x", None, -1100),
        ("-5", None, -1100),
        ("1e12", None, -1100),
        (str(NOW_NS // MS), "60001", -1131),
        (str(NOW_NS // MS), "60000", 0),
        (str(NOW_NS // MS), "-1", -1100),
        (str(NOW_NS // MS), "5.1234", -1100),
        (str(NOW_NS // MS), "5.123", 0),
        ("9" * 20, None, -1108),
    ],
)
def test_times_and_windows_that_are_none_are_refused(sent: str, window: str | None, code: int) -> None:
    assert timed(sent, window) == code


async def test_a_request_needs_key_signature_and_time(binance: World) -> None:
    client = binance.demo
    query = client.query({})
    for headers, code, status in (
        ({"X-MBX-APIKEY": ""}, -2014, 401),
        ({"X-MBX-APIKEY": "y" * 64}, -2015, 401),
    ):
        found, body, _ = await client.raw("GET", "/api/v3/account", query, **headers)
        assert (found, body["code"]) == (status, code)
    stamp = f"timestamp={client.stamp()}"
    for text in (stamp, f"signature={'0' * 64}"):
        status, body, _ = await client.raw("GET", "/api/v3/account", text)
        assert (status, body["code"]) == (400, -1102)
    client.clock_offset_ms = 5_000
    assert (await client.refused("GET", "/api/v3/account"))[1] == -1021
    client.clock_offset_ms = -5_500
    assert (await client.refused("GET", "/api/v3/account"))[1] == -1021
    await client.signed("GET", "/api/v3/account", recvWindow=20_000)


async def test_three_bad_signatures_lock_a_key(binance: World) -> None:
    client = binance.demo
    for _ in range(3):
        status, body, _ = await client.raw(
            "GET", "/api/v3/account", f"timestamp={client.stamp()}&signature=00"
        )
        assert (status, body["code"]) == (400, -1022)
    assert (await client.refused("GET", "/api/v3/account"))[:2] == (401, -1002)
    await binance.other.signed("GET", "/api/v3/account")


async def test_rights_are_kept_apart(binance: World) -> None:
    reader = binance.client("demo", rights=(Right.READ,))
    canceller = binance.client("demo", rights=(Right.CANCEL,))
    trader = binance.client("demo", rights=(Right.TRADE,))
    placed = await trader.order("BUY", "59000", "0.1")
    reference = {"symbol": SYMBOL, "orderId": placed["orderId"]}
    assert (await trader.refused("GET", "/api/v3/order", **reference))[:2] == (401, -2015)
    assert (await reader.signed("GET", "/api/v3/order", **reference))["status"] == "NEW"
    assert (await reader.refused("DELETE", "/api/v3/order", **reference))[1] == -2015
    for one in (reader, canceller):
        assert (await one.refused("POST", "/api/v3/order", **ORDER))[1] == -2015
    assert (await canceller.signed("DELETE", "/api/v3/order", **reference))["status"] == "CANCELED"
    assert (await trader.order("BUY", "59000", "0.1"))["status"] == "NEW"


async def test_a_key_without_an_account_gets_nowhere(binance: World) -> None:
    stray = binance.client("nobody")
    assert (await stray.refused("GET", "/api/v3/account"))[:2] == (401, -2015)


async def test_an_edwards_key_signs_percent_encoded_payloads(binance: World) -> None:
    client = binance.edwards("demo")
    placed = await client.order("BUY", "59000", "0.1", newClientOrderId="ed")
    assert (await client.signed("GET", "/api/v3/order", symbol=SYMBOL, origClientOrderId="ed"))[
        "orderId"
    ] == (placed["orderId"])
    # what was signed unescaped and sent escaped is another payload
    plain = f'symbols=["{SYMBOL}"]&timestamp={client.stamp()}'
    escaped = plain.replace('["', "%5B%22").replace('"]', "%22%5D")
    sent = f"{escaped}&signature={quote(client.signature(plain.encode()), safe='')}"
    status, body, _ = await client.raw("GET", "/api/v3/account", sent)
    assert (status, body["code"]) == (400, -1022)


async def test_an_order_that_waited_out_its_window_is_not_matched(binance: World) -> None:
    exchange = binance.exchange
    place = exchange.place

    async def late(account: str, request: PlaceRequest) -> object:
        # the exchange gets the order when the window has passed: its own check is the last
        while exchange.now_ns() <= request.valid_until_ns:  # noqa: ASYNC110 - time is what it waits for
            await asyncio.sleep(0.01)
        return await place(account, request)

    exchange.place = late  # type: ignore[method-assign,assignment]
    refusal = await binance.demo.refused("POST", "/api/v3/order", **ORDER, recvWindow=1_000)
    assert refusal[1] == -1021 and exchange.orders("demo", working=True) == []


async def test_an_order_that_we_held_up_within_its_window_is_not_called_late(binance: World) -> None:
    async def busy(account: str, request: PlaceRequest) -> object:
        return Refused(Refusal.DEADLINE_PASSED, "waited too long", "COMMAND_EXPIRED")

    binance.exchange.place = busy  # type: ignore[method-assign,assignment]
    assert (await binance.demo.refused("POST", "/api/v3/order", **ORDER))[:2] == (503, -1008)


async def test_secrets_are_in_no_answer_and_no_name(binance: World) -> None:
    client = binance.demo
    _, body, headers = await client.raw("GET", "/api/v3/account", "timestamp=1&signature=00")
    text = f"{body}{dict(headers)}{client.key!r}"
    assert client.secret not in text and client.key.key not in text
