"""Signatures against the venues' published examples; one flipped byte anywhere changes them (T3.11)."""

from __future__ import annotations

import base64
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tradewind.security import capability
from tradewind.venues.transport import signatures
from tradewind.venues.transport.signatures import BadSecret, decode_secret

# Published examples of the venues' own documentation and client tests; none of these keys exists.
KRAKEN = decode_secret(
    "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSU" + "XNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="
)
KRAKEN_BODY = b"nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25"
KRAKEN_SIGN = "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn" + "7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ=="
BINANCE = b"NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP" + b"1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
BINANCE_PAYLOAD = (
    b"symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC"
    b"&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
)
BINANCE_SIGN = "c8db56825ae71d6d79447849e617115f" + "4a920fa2acdcab2b053c4b2838bd6b71"
POLYMARKET_SIGN = "ZwAdJKvoYRlEKDkNMwd5BuwN" + "Ntg93kNaR_oU2HrfVvc="
# RFC 8032, section 7.1, test 2: secret key, public key, the message 0x72, the signature.
ED25519 = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f" + "5b8a319f35aba624da8cf6ed4fb8a6fb")
ED25519_PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
ED25519_SIGN = (
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def flips(data: bytes) -> list[bytes]:
    """The data with each of its bytes changed in turn."""
    found = []
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        found.append(bytes(changed))
    return found


def test_krakens_published_example() -> None:
    path, nonce = "/0/private/AddOrder", "1616492376594"
    assert signatures.kraken(KRAKEN, path, nonce, KRAKEN_BODY) == KRAKEN_SIGN
    others = [signatures.kraken(one, path, nonce, KRAKEN_BODY) for one in flips(KRAKEN)]
    others += [signatures.kraken(KRAKEN, one.decode(), nonce, KRAKEN_BODY) for one in flips(path.encode())]
    others += [signatures.kraken(KRAKEN, path, one.decode(), KRAKEN_BODY) for one in flips(nonce.encode())]
    others += [signatures.kraken(KRAKEN, path, nonce, one) for one in flips(KRAKEN_BODY)]
    assert not any(signatures.same(one, KRAKEN_SIGN) for one in others)


def test_binances_published_example() -> None:
    assert signatures.binance_hmac(BINANCE, BINANCE_PAYLOAD) == BINANCE_SIGN
    others = [signatures.binance_hmac(one, BINANCE_PAYLOAD) for one in flips(BINANCE)]
    others += [signatures.binance_hmac(BINANCE, one) for one in flips(BINANCE_PAYLOAD)]
    assert not any(signatures.same(one, BINANCE_SIGN) for one in others)


def test_polymarkets_published_example() -> None:
    secret = decode_secret("A" * 43 + "=", url_safe=True)
    arguments = ("1000000", "test-sign", "/orders", b'{"hash": "0x123"}')
    assert signatures.polymarket(secret, *arguments) == POLYMARKET_SIGN
    packed = [one.encode() if isinstance(one, str) else one for one in arguments]
    for place, part in enumerate(packed):
        for changed in flips(part):
            others = [*packed[:place], changed, *packed[place + 1 :]]
            stamp, method, path = (one.decode() for one in others[:3])
            assert signatures.polymarket(secret, stamp, method, path, others[3]) != POLYMARKET_SIGN
    assert decode_secret("--_AAAA", url_safe=True) == decode_secret("++/AAAA=")


def test_ed25519_of_the_standard_and_anything_malformed_is_refused() -> None:
    key = Ed25519PrivateKey.from_private_bytes(ED25519)
    signed = signatures.binance_ed25519(key, b"\x72")
    assert base64.b64decode(signed).hex() == ED25519_SIGN
    assert signatures.check_ed25519(ED25519_PUBLIC, b"\x72", signed)
    assert not any(signatures.check_ed25519(one, b"\x72", signed) for one in flips(ED25519_PUBLIC))
    assert not signatures.check_ed25519(ED25519_PUBLIC, b"\x73", signed)
    raw = base64.b64decode(signed)
    for other in [base64.b64encode(one).decode() for one in flips(raw)] + ["", "?", signed[:-4], "é"]:
        assert not signatures.check_ed25519(ED25519_PUBLIC, b"\x72", other)
    assert not signatures.check_ed25519(b"short", b"\x72", signed)


def test_a_secret_that_is_none_is_refused_and_never_repeated() -> None:
    for text in ("", "not a secret!", "====", "é"):
        with pytest.raises(BadSecret) as caught:
            decode_secret(text)
        assert not text or text not in str(caught.value)


def test_comparison_takes_any_text() -> None:
    assert signatures.same("abc", "abc")
    assert not signatures.same("abcd", "abc") and not signatures.same("é", "abc")


PAPER_PROCESS = """
import importlib, pkgutil, sys
import tradewind.venues, tradewind.gateways
from tradewind.security import capability
capability.declare({environment!r})
denied = []
for one in pkgutil.walk_packages(tradewind.venues.__path__, "tradewind.venues."):
    try:
        importlib.import_module(one.name)
    except capability.CapabilityDenied:
        denied.append(one.name)
import importlib.util
for name in capability.SIGNING_MODULES:
    spec = importlib.util.find_spec(name)
    try:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        print("loaded", name)
    except capability.CapabilityDenied:
        pass
for other in ("live", "canary", "testnet"):
    try:
        capability.declare(other)
        print("became", other)
    except capability.CapabilityDenied:
        pass
loaded = [name for name in capability.SIGNING_MODULES if name in sys.modules]
print(sorted(set(capability.SIGNING_MODULES) - set(denied)), loaded)
"""


@pytest.mark.parametrize("environment", ["sim", "paper"])
def test_a_paper_process_cannot_load_anything_that_signs(environment: str) -> None:
    script = PAPER_PROCESS.format(environment=environment)
    flags = {"TRADEWIND_ENV": "live", "TRADEWIND_LIVE": "1", "PATH": "", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=flags, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == "[] []", done.stdout


def test_an_environment_is_declared_once_and_not_after_something_that_signs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(capability._Declared, "environment", None)
    with pytest.raises(ValueError, match="no environment"):
        capability.declare("prod")
    with pytest.raises(capability.CapabilityDenied, match="is loaded"):
        capability.declare("paper")
    capability.declare("testnet")
    capability.declare("testnet")
    capability.require_signing("this")
    assert capability.declared() == "testnet"
    monkeypatch.setattr(capability._Declared, "environment", "paper")
    with pytest.raises(capability.CapabilityDenied, match="environment paper"):
        capability.require_signing("this")
