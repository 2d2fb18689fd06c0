"""The edge of a real node: no way into the log for a price that its source did not sign for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tradewind.core import commands, journal
from tradewind.core.errors import Rejected
from tradewind.core.native import journal_genesis
from tradewind.node.publications import PublicationGate, publications_in, unattested
from tradewind.security.publications import Publication, deployment_id

from .keeper_world import FEED, OPENING, TICK_SIZE, KeeperWorld

STREAM = 1


def said_by(world: KeeperWorld, **changes: int) -> Publication:
    """What a source says now, under a number that was not used."""
    world.source_seq += 1
    said = Publication(
        feed=FEED, value=OPENING * TICK_SIZE, confidence=TICK_SIZE, bid=0, ask=0,
        source_time_ns=world.clock.now_ns, source_seq=world.source_seq,
    )  # fmt: skip
    return msgspec.structs.replace(said, **changes)


async def untouched(world: KeeperWorld) -> tuple[int, bytes]:
    return world.node.next_seq, (await world.node.state_hashes())[0]


async def test_every_way_into_the_log_refuses_an_unsigned_price(world: KeeperWorld) -> None:
    record = world.publication("oracle_1", said_by(world))
    tick = commands.tick(principal=world.node.system_principal)
    before, refused = await untouched(world), world.node.publications.refused
    ways: list[Any] = [
        lambda: world.node.submit(record),
        lambda: world.node.submit([tick, record]),
        lambda: world.node.submit(record, [b""]),
        lambda: world.node.submit_buffer(tick + record),
        lambda: world.node.submit_with_notes([record], [(STREAM, 1, b"note")]),
    ]
    for way in ways:
        with pytest.raises(Rejected) as error:
            await way()
        assert error.value.name == "PUBLICATION_UNSIGNED"
    assert await untouched(world) == before
    assert world.node.publications.refused == refused + len(ways)


async def test_a_signature_stands_for_one_source_feed_value_time_number_and_deployment(
    world: KeeperWorld,
) -> None:
    said = said_by(world)
    good = world.attest("oracle_1", said)
    before = await untouched(world)
    forged = {field: msgspec.structs.replace(said, **{field: getattr(said, field) + 1}) for field in
              said.__struct_fields__}  # fmt: skip
    cases = [(world.publication("oracle_1", one), good, "PUBLICATION_FORGED") for one in forged.values()]
    cases.append((world.publication("oracle_2", said), good, "PUBLICATION_FORGED"))
    elsewhere = world.identities.signer("oracle_1").attest(bytes(32), said)
    cases.append((world.publication("oracle_1", said), elsewhere, "PUBLICATION_FOREIGN"))
    for record, attestation, name in cases:
        with pytest.raises(Rejected) as error:
            await world.node.submit(record, [attestation])
        assert error.value.name == name
    assert await untouched(world) == before
    (taken,) = await world.node.submit(world.publication("oracle_1", said), [good])
    assert taken.accepted
    # The same again, signed as it is: its number stops it in the engine.
    (replayed,) = await world.node.submit(world.publication("oracle_1", said), [good])
    assert replayed.name == "PUBLISH_OUT_OF_ORDER"


async def test_one_bad_signature_takes_the_whole_submission_down_and_none_is_left_over(
    world: KeeperWorld,
) -> None:
    said = said_by(world)
    records = [world.publication(name, said) for name in ("oracle_1", "oracle_2")]
    good = [world.attest(name, said) for name in ("oracle_1", "oracle_2")]
    before = await untouched(world)
    for attestations in (good[:1], good[::-1], [*good, good[0]]):
        with pytest.raises(Rejected):
            await world.node.submit(records, attestations)
    assert await untouched(world) == before
    assert [result.accepted for result in await world.node.submit(records, good)] == [True, True]


async def test_the_log_itself_proves_later_who_said_what(
    world: KeeperWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = world.node.journal_path
    deployment = deployment_id(journal_genesis(path))
    assert deployment == world.node.deployment
    published = sum(len(list(publications_in(bytes(batch.commands)))) for batch in journal.batches(path))
    assert published > 300
    assert unattested(deployment, journal.batches(path)) == (published, [])
    assert len(unattested(bytes(32), journal.batches(path))[1]) == published
    # A node whose check was taken out leaves a hole that a reader of the log finds.
    monkeypatch.setattr(PublicationGate, "check", lambda *_: [])
    (result,) = await world.node.submit(world.publication("oracle_1", said_by(world)))
    assert result.accepted
    assert unattested(deployment, journal.batches(path)) == (published + 1, [result.seq])


async def test_a_restart_keeps_the_deployment_and_other_keys_make_another(tmp_path: Path) -> None:
    first = await KeeperWorld.open(tmp_path / "one")
    deployment = first.node.deployment
    await first.node.close()
    again = await KeeperWorld.open(tmp_path / "one")
    other = await KeeperWorld.open(tmp_path / "two")
    assert again.node.deployment == deployment != other.node.deployment
    await again.node.close()
    await other.node.close()
