"""The port over the API: the same commands as in process, typed refusals, and outages that are outages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tradewind.api.exchange_requests import KeeperAct, PublishPrice
from tradewind.keepers.port import Action, Identity, PortUnavailable
from tradewind.keepers.remote import RemotePort
from tradewind.keepers.worker import WAIT_UNTIL

KEEPER = Identity(name="keeper_1", principal=b"k" * 32, account=b"a" * 32)
LIQUIDATE = Action(
    command="KeeperAct",
    fields={"action": 1, "market": 3, "target": b"t" * 32, "target_sub": 2},
    key="0123456789abcdef",
)


class Answering(RemotePort):
    """Answers what a test says and keeps what was asked."""

    def __init__(self, status: int, document: Any) -> None:
        super().__init__(Path("nowhere"))
        self.answer = (status, document)
        self.asked: list[tuple[str, str, dict[str, Any] | None]] = []

    def _exchange(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, Any]:
        self.asked.append((method, path, body))
        return self.answer


async def test_a_liquidation_names_account_target_and_market_by_id() -> None:
    import msgspec

    port = Answering(200, {"seq": 1, "duplicate": True})
    outcome = await port.send(KEEPER, LIQUIDATE)
    assert (outcome.accepted, outcome.duplicate) == (True, True)
    ((method, path, body),) = port.asked
    assert (method, path) == ("POST", "/keepers/act")
    request = msgspec.convert({k: v for k, v in (body or {}).items() if v is not None}, KeeperAct)
    assert (request.account, request.target, request.target_sub) == ((b"a" * 32).hex(), (b"t" * 32).hex(), 2)
    assert (request.action, request.market, request.client_key) == ("liquidate", "3", "0123456789abcdef")


async def test_a_price_keeps_its_time_sequence_signature_and_exact_decimals() -> None:
    import msgspec

    port = Answering(200, {"seq": 1})
    fields: dict[str, int | bytes] = {
        "feed": 0, "value": 60_000_123_456, "confidence": 5_000, "bid": 60_000_118_456, "ask": 60_000_128_456,
        "source_time_ns": 1_700_000_000_123_456_789, "source_seq": 77,
    }  # fmt: skip
    await port.send(KEEPER, Action(command="PublishPrice", fields=fields, key="k", attestation=b"s" * 96))
    ((_, path, body),) = port.asked
    request = msgspec.convert(body, PublishPrice)
    assert path == "/feeds/0/prices"
    assert (request.value, request.confidence, request.source_seq) == ("60000.123456", "0.005000", 77)
    assert request.source_time_ns == 1_700_000_000_123_456_789
    assert (request.actor, request.signature) == (KEEPER.principal.hex(), (b"s" * 96).hex())


async def test_a_refusal_of_the_engine_is_an_outcome_with_its_bound() -> None:
    refusal = {"status": 429, "name": "KEEPER_RATE_LIMITED", "code": 3204, "bound": 12, "given": 11}
    outcome = await Answering(429, refusal).send(KEEPER, LIQUIDATE)
    assert (outcome.accepted, outcome.code, outcome.bound, outcome.given) == (
        False,
        "KEEPER_RATE_LIMITED",
        12,
        11,
    )
    assert outcome.code in WAIT_UNTIL


@pytest.mark.parametrize(
    ("status", "document"),
    [
        (503, {"status": 503, "name": "NODE_STOPPED", "code": 0, "detail": "it is closing"}),
        (500, {"detail": "broken"}),
        (401, {}),
    ],
)
async def test_what_is_no_answer_of_the_engine_is_an_outage(status: int, document: dict[str, Any]) -> None:
    with pytest.raises(PortUnavailable):
        await Answering(status, document).send(KEEPER, LIQUIDATE)
    with pytest.raises(PortUnavailable):
        await Answering(status, document).duties(KEEPER)


async def test_without_a_platform_every_call_is_an_outage(tmp_path: Path) -> None:
    port = RemotePort(tmp_path)
    with pytest.raises(PortUnavailable, match="no platform runs"):
        await port.duties(KEEPER)
    (tmp_path / "run.json").write_text('{"port": 1}')
    (tmp_path / "api.token").write_text("token")
    with pytest.raises(PortUnavailable, match="no answer"):
        await port.send(KEEPER, LIQUIDATE)
