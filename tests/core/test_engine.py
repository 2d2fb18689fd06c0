"""The engine through Python: batches, buffers, results, hashes."""

from __future__ import annotations

import threading

import pytest
from exchange_world import BTC, OPERATOR, START_NS, SYSTEM, USDC, World, genesis, owner_key

from tradewind import _core
from tradewind.core import commands, errors
from tradewind.core.engine import Engine, GenesisConfig, Grant
from tradewind.core.enums import Line, Role, Side
from tradewind.core.event_types import OrderAccepted, OrderCancelled, OrderRested, Trade
from tradewind.core.events import decode_events, decode_results
from tradewind.core.records import codec


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def engine(world: World) -> Engine:
    engine = Engine(genesis())
    results = engine.submit(world.setup(), START_NS + 1)
    assert all(result.accepted for result in results), [result.message for result in results]
    return engine


def test_a_trade_is_told_in_events_whose_postings_sum_to_zero(engine: Engine, world: World) -> None:
    batch = engine.apply(
        [world.order(0, Side.SELL, 6_000_000, 100), world.order(1, Side.BUY, 6_000_000, 40)], START_NS + 2
    )
    events = list(decode_events(batch))
    assert [type(event) for event in events] == [OrderAccepted, OrderAccepted, Trade]
    trade = events[2]
    assert isinstance(trade, Trade)
    assert (trade.price, trade.lots, trade.notional) == (6_000_000, 40, 6_000_000 * 40 * 10)
    # 2.5 bp and 1 bp of 2,400 USDC.
    assert (trade.taker_fee, trade.maker_fee) == (600_000, 240_000)
    for asset in (BTC, USDC):
        assert sum(posting.amount for posting in trade.postings if posting.asset == asset) == 0
    fees = {posting.line: posting.amount for posting in trade.postings if posting.line >= Line.WORLD}
    assert fees == {
        Line.VAULT_CASH: 588_000,
        Line.STAKER_POOL: 126_000,
        Line.MAKER_FUND: 42_000,
        Line.INSURANCE: 84_000,
    }
    assert engine.core.levels(0, Side.SELL, 5) == [(6_000_000, 60, 1)]


def test_rejects_carry_code_bound_and_given_and_change_no_state(engine: Engine, world: World) -> None:
    before = engine.core.state_hash()
    [result] = engine.submit([world.order(0, Side.BUY, 6_000_000, 0)], START_NS + 2)
    assert (result.accepted, result.name, result.given) == (False, "INVALID_SIZE", 0)
    assert engine.core.state_hash() == before
    with pytest.raises(errors.InvalidSize) as caught:
        result.expect()
    assert caught.value.message == result.message


def test_whole_batch_is_refused_when_the_frame_is_cut(engine: Engine, world: World) -> None:
    before = engine.core.next_seq, engine.core.state_hash(), engine.core.cursor_hash()
    with pytest.raises(errors.MalformedFrame) as caught:
        engine.core.apply(world.order(0, Side.BUY, 6_000_000, 1)[:-1], START_NS + 2)
    assert (caught.value.code, caught.value.bound, caught.value.given) == (1001, 192, 191)
    assert before == (engine.core.next_seq, engine.core.state_hash(), engine.core.cursor_hash())


@pytest.mark.parametrize("as_buffer", [bytes, bytearray, memoryview])
def test_any_byte_buffer_is_accepted(engine: Engine, world: World, as_buffer: type) -> None:
    batch = engine.core.apply(as_buffer(world.order(0, Side.BUY, 6_000_000, 1)), START_NS + 2)
    assert decode_results(batch.results)[0].accepted


def test_what_is_no_buffer_is_a_type_error(engine: Engine) -> None:
    for wrong in ("text", 5, None):
        with pytest.raises(TypeError):
            engine.core.apply(wrong, START_NS)  # type: ignore[arg-type]


def test_buffers_are_read_only_and_outlive_their_batch(engine: Engine, world: World) -> None:
    events = engine.apply([world.order(0, Side.BUY, 6_000_000, 1)], START_NS + 2).events
    copy = bytes(events)
    with pytest.raises(TypeError):
        events[0] = 1
    for number in range(200):
        engine.apply([world.order(0, Side.BUY, 5_000_000 + number, 1)], START_NS + 3 + number)
    assert bytes(events) == copy and len(copy) % _core.EVENT_SIZE == 0


def test_input_results_leave_out_what_the_sequencer_inserted(engine: Engine, world: World) -> None:
    for maker in range(60):
        assert engine.submit([world.order(0, Side.SELL, 6_000_000 + maker, 1)], START_NS + 2)[0].accepted
    sweep = world.order(1, Side.BUY, 6_000_100, 60)
    batch = engine.apply([sweep, world.order(1, Side.BUY, 5_900_000, 1)], START_NS + 3)
    assert batch.count == 3, "60 fills need one Continue"
    results = decode_results(batch.input_results())
    assert [result.seq for result in results] == [batch.first_seq, batch.first_seq + 2]
    assert len(decode_results(batch.results)) == 3
    trades = [event for event in decode_events(batch) if isinstance(event, Trade)]
    assert len(trades) == 60 and trades[-1].taker_remaining == 0


def test_duplicate_key_returns_the_stored_answer_and_another_body_conflicts(
    engine: Engine, world: World
) -> None:
    key = world.key()
    order = world.order(0, Side.BUY, 6_000_000, 1, client_key=key)  # type: ignore[arg-type]
    other = world.order(0, Side.BUY, 6_000_000, 2, client_key=key)  # type: ignore[arg-type]
    first, again, conflict = engine.submit([order, order, other], START_NS + 2)
    assert first.accepted and again.accepted and again.duplicate and again.value == first.value
    assert conflict.name == "IDEMPOTENCY_CONFLICT"


def test_both_books_and_a_restored_engine_give_equal_hashes(world: World) -> None:
    fast, naive = Engine(genesis()), Engine(genesis(), reference_book=True)
    flow = world.setup()
    flow += [world.order(n % 2, Side(n % 3 % 2), 6_000_000 + n * 7 % 50, 1 + n % 9) for n in range(300)]
    half = len(flow) // 2
    for engine in (fast, naive):
        engine.apply(flow[:half], START_NS + 1)
    restored = _core.Engine.restore(fast.core.snapshot())
    batches = [core.apply(b"".join(flow[half:]), START_NS + 2) for core in (fast.core, naive.core, restored)]
    assert len({bytes(batch.events) for batch in batches}) == 1
    assert len({core.state_hash() for core in (fast.core, naive.core, restored)}) == 1
    assert len({core.cursor_hash() for core in (fast.core, naive.core, restored)}) == 1


def test_stamped_commands_give_the_same_bytes_again(engine: Engine, world: World) -> None:
    other = Engine(genesis())
    setup = World().setup()
    other.apply(setup, START_NS + 1)
    batch = engine.apply(
        [world.order(0, Side.SELL, 6_000_000, 5), world.order(1, Side.BUY, 6_000_000, 9)], START_NS + 5
    )
    again = other.core.apply_stamped(batch.commands)
    assert bytes(again.events) == bytes(batch.events) and bytes(again.results) == bytes(batch.results)


def test_time_never_goes_back(engine: Engine, world: World) -> None:
    engine.apply([world.order(0, Side.BUY, 6_000_000, 1)], START_NS + 1_000)
    late = engine.apply([world.order(0, Side.BUY, 6_000_000, 1)], START_NS - 10**15)
    assert late.time_ns == START_NS + 1_000
    assert decode_results(late.results)[0].accepted


def test_ioc_rest_is_cancelled_with_its_reason(engine: Engine, world: World) -> None:
    batch = engine.apply([world.order(0, Side.BUY, 6_000_000, 3, time_in_force=1)], START_NS + 2)
    cancelled = [event for event in decode_events(batch) if isinstance(event, OrderCancelled)]
    assert [(event.reason, event.remaining_lots) for event in cancelled] == [(4, 3)]
    assert not any(isinstance(event, OrderRested) for event in decode_events(batch))


def test_damaged_snapshots_never_give_an_engine(engine: Engine) -> None:
    snapshot = engine.core.snapshot()
    for position in range(0, len(snapshot), max(1, len(snapshot) // 50)):
        damaged = bytearray(snapshot)
        damaged[position] ^= 0x10
        with pytest.raises((ValueError, errors.TradewindError)):
            _core.Engine.restore(damaged)


@pytest.mark.parametrize(
    "grants",
    [
        [],
        [Grant(OPERATOR, Role.OPERATOR, START_NS + 1)],
        [Grant(SYSTEM, Role.SYSTEM, START_NS + 1), Grant(SYSTEM, Role.OPERATOR, START_NS + 1)],
        [Grant(bytes(32), Role.SYSTEM, START_NS + 1)],
        [Grant(SYSTEM, 99, START_NS + 1)],
    ],
)
def test_impossible_genesis_is_refused(grants: list[Grant]) -> None:
    with pytest.raises(errors.InvalidGenesis):
        GenesisConfig(START_NS, grants).encode()


def test_genesis_survives_encoding() -> None:
    config = genesis()
    assert GenesisConfig.decode(config.encode()).encode() == config.encode()
    assert GenesisConfig.decode(config.encode()).principals(Role.SYSTEM) == [SYSTEM]


def test_the_interpreter_is_free_while_commands_are_applied(world: World) -> None:
    engine = Engine(genesis())
    engine.apply(world.setup(), START_NS + 1)
    frame = b"".join(world.order(n % 2, Side.BUY, 5_900_000, 1, time_in_force=1) for n in range(4_096)) * 8
    progress, done = [0], threading.Event()

    def count() -> None:
        while not done.is_set():
            progress[0] += 1

    counter = threading.Thread(target=count)
    counter.start()
    try:
        seen = progress[0]
        # Releasing is shown by the other thread moving during a call that never touches Python.
        for number in range(20):
            engine.core.apply(frame, START_NS + 2 + number)
            if progress[0] > seen:
                break
        moved = progress[0] - seen
    finally:
        done.set()
        counter.join()
    assert moved > 0


def test_record_codec_reads_a_batch_without_copying(engine: Engine, world: World) -> None:
    numpy = pytest.importorskip("numpy")
    batch = engine.apply([world.order(0, Side.BUY, 6_000_000, 1)], START_NS + 2)
    array = numpy.frombuffer(batch.events, codec("Event").dtype())
    assert array["seq"].tolist() == [batch.first_seq] and not array.flags.owndata


def test_public_keys_derive_ids_as_the_protocol_says() -> None:
    key = owner_key(3)
    expected = _core.blake3(b"tradewind/account/v1\0" + key)
    assert _core.derive_account_id(key) == expected
    market = _core.blake3(b"tradewind/market/v1\0" + expected + (7).to_bytes(8, "little"))
    assert _core.derive_market_id(expected, 7) == market
    assert commands.open_account(principal=key, client_key=bytes([1] * 16), owner_key=key)[64:96] == expected
