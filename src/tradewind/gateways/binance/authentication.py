"""Who sent a request: key header, signature over the payload as it came, and the time rules of the venue."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from decimal import Decimal
from typing import Final, Protocol
from urllib.parse import quote, unquote_plus

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tradewind.gateways.keys import ApiKey, Right

from .errors import BinanceError, ahead_of_time, bad_key, illegal, missing, outside_window
from .parameters import DECIMAL_LEGAL, DECIMAL_PATTERN, Parameters

DEFAULT_WINDOW_MS: Final = 5_000
MAX_WINDOW_MS: Final = 60_000
AHEAD_NS: Final = 1_000_000_000
MICROSECOND_DIGITS: Final = 15
MAX_KEY_LENGTH: Final = 128


class Keys(Protocol):
    """The part of the key store that authentication needs. Times are nanoseconds since 1970."""

    def find(self, key: str) -> ApiKey | None: ...

    def count_failure(self, key: str, now_ns: int) -> bool: ...

    def locked(self, key: str, now_ns: int) -> bool: ...


class Identity(msgspec.Struct, frozen=True):
    """A proven caller. `valid_until_ns` is the last moment at which the request may be matched."""

    key: ApiKey
    valid_until_ns: int


def without_signature(text: str) -> tuple[str, str | None]:
    """A query or form without its signature (the bytes that were signed), and the signature, decoded."""
    kept, signature = [], None
    for part in text.split("&"):
        if part.startswith("signature="):
            signature = unquote_plus(part.partition("=")[2])
        else:
            kept.append(part)
    return "&".join(kept), signature


def signed_payload(query: str, body: str) -> tuple[bytes, str | None]:
    """What the client signed (query then body, nothing between them) and its signature."""
    rest_query, in_query = without_signature(query)
    rest_body, in_body = without_signature(body)
    return (rest_query + rest_body).encode(), in_query if in_query is not None else in_body


def sorted_payload(values: dict[str, str]) -> bytes:
    """What a WebSocket request signs: every parameter but the signature, by name, percent-encoded."""
    pairs = (
        f"{quote(name, safe='')}={quote(value, safe='')}"
        for name, value in sorted(values.items())
        if name != "signature"
    )
    return "&".join(pairs).encode()


def signature_holds(key: ApiKey, payload: bytes, signature: str) -> bool:
    """Whether `signature` is the key's over `payload`; in constant time for HMAC."""
    if key.algorithm == "ed25519":
        try:
            # '+' in an unescaped query arrives as a space
            raw = base64.b64decode(signature.replace(" ", "+"), validate=True)
            Ed25519PublicKey.from_public_bytes(key.secret).verify(raw, payload)
        except (binascii.Error, ValueError, InvalidSignature):
            return False
        return True
    expected = hmac.new(key.secret, payload, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.lower().encode(errors="surrogatepass"))


class Authenticator:
    """Checks callers against the exchange's key store, which also locks keys after bad signatures."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def key(self, name: str | None, right: Right | None, now_ns: int) -> ApiKey:
        """The key named by a request. Raises -2014, -2015, or -1002 while it is locked."""
        if not name or len(name) > MAX_KEY_LENGTH or not name.isascii() or not name.isprintable():
            raise BinanceError(-2014, "API-key format invalid.")
        key = self._keys.find(name)
        if key is None:
            raise bad_key()
        if self._keys.locked(name, now_ns):
            raise BinanceError(-1002, "You are not authorized to execute this request.")
        if right is not None and not key.allows(right):
            raise bad_key()
        return key

    def signed(
        self, key: ApiKey, payload: bytes, signature: str | None, parameters: Parameters, now_ns: int
    ) -> Identity:
        """Checks signature and time of a request. Raises -1102, -1022, -1131 or -1021."""
        if not parameters.values.get("timestamp"):
            raise missing("timestamp")
        if not signature:
            raise missing("signature")
        if not signature_holds(key, payload, signature):
            self._keys.count_failure(key.key, now_ns)
            raise BinanceError(-1022, "Signature for this request is not valid.")
        return self.timed(key, parameters, now_ns)

    def timed(self, key: ApiKey, parameters: Parameters, now_ns: int) -> Identity:
        """Checks the time alone: for requests in a session that was proven before."""
        sent = parameters.whole("timestamp")
        if sent is None:
            raise missing("timestamp")
        sent_ns = sent * (1_000 if sent >= 10**MICROSECOND_DIGITS else 1_000_000)
        window_ns = receive_window_ns(parameters)
        if sent_ns >= now_ns + AHEAD_NS:
            raise ahead_of_time()
        if now_ns - sent_ns > window_ns:
            raise outside_window()
        return Identity(key, sent_ns + window_ns)


def receive_window_ns(parameters: Parameters) -> int:
    """`recvWindow` in nanoseconds; up to three decimals of a millisecond."""
    text = parameters.text("recvWindow")
    if text is None:
        return DEFAULT_WINDOW_MS * 1_000_000
    if not DECIMAL_PATTERN.fullmatch(text) or len(text.partition(".")[2]) > 3:
        raise illegal("recvWindow", DECIMAL_LEGAL)
    window = Decimal(text)
    if window > MAX_WINDOW_MS:
        raise BinanceError(-1131, "recvWindow must be less than 60000")
    return int(window * 1_000_000)
