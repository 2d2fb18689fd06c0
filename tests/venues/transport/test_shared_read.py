"""Who asks for the same at the same time shares a reading, and no answer is older than its question."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.venues.transport.shared_read import Batch, SharedRead


class Source:
    """A list that changes; a reading waits for its turn, then takes a while on the way."""

    def __init__(self) -> None:
        self.version = 0
        self.turn, self.way = asyncio.Event(), asyncio.Event()
        self.wants: list[list[int]] = []

    async def read(self, batch: Batch[int]) -> int:
        await self.turn.wait()
        self.wants.append(sorted(batch.close()))
        seen = self.version
        await self.way.wait()
        return seen


async def test_whoever_asks_before_the_request_leaves_shares_it_and_later_ones_get_the_next() -> None:
    source = Source()
    shared: SharedRead[int, int] = SharedRead(source.read)
    first = [asyncio.create_task(shared.get(want)) for want in (3, 1, 2)]
    await asyncio.sleep(0)
    source.turn.set()
    await asyncio.sleep(0.01)
    source.version = 1
    late = [asyncio.create_task(shared.get(want)) for want in (5, 4)]
    await asyncio.sleep(0)
    source.way.set()
    assert await asyncio.gather(*first) == [0, 0, 0]
    assert await asyncio.gather(*late) == [1, 1], "an answer is never older than its question"
    assert source.wants == [[1, 2, 3], [4, 5]]
    assert (shared.asked, shared.readings) == (5, 2)


async def test_a_failure_is_everybodys_and_the_next_reading_is_a_new_one() -> None:
    failures = 1

    async def read(batch: Batch[int]) -> int:
        nonlocal failures
        if failures:
            failures -= 1
            raise OSError("cut")
        return len(batch.close())

    shared: SharedRead[int, int] = SharedRead(read)
    answers = await asyncio.gather(shared.get(1), shared.get(2), return_exceptions=True)
    assert [type(one) for one in answers] == [OSError, OSError]
    assert await shared.get(3) == 1


async def test_who_gives_up_leaves_the_others_their_answer_and_alone_costs_no_reading() -> None:
    source = Source()
    shared: SharedRead[int, int] = SharedRead(source.read)
    tasks = [asyncio.create_task(shared.get(want)) for want in (1, 2)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    source.turn.set()
    source.way.set()
    assert await tasks[1] == 0
    source.turn.clear()
    busy = asyncio.create_task(shared.get(1))
    await asyncio.sleep(0)
    source.turn.set()
    await busy
    readings = shared.readings
    gone = asyncio.create_task(shared.get(1))
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    await asyncio.sleep(0.01)
    assert shared.readings == readings


@settings(max_examples=50, deadline=None)
@given(pauses=st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_readings_are_never_more_than_questions_and_every_answer_is_fresh(pauses: list[int]) -> None:
    async def scenario() -> None:
        version, under_way = 0, 0

        async def read(batch: Batch[int]) -> int:
            nonlocal under_way
            under_way += 1
            assert under_way == 1, "one at a time"
            for _ in range(2):
                await asyncio.sleep(0)
            batch.close()
            seen = version
            await asyncio.sleep(0)
            under_way -= 1
            return seen

        shared: SharedRead[int, int] = SharedRead(read)

        async def ask() -> None:
            asked = version
            assert await shared.get(0) >= asked

        tasks = []
        for pause in pauses:
            version += 1
            tasks.append(asyncio.create_task(ask()))
            for _ in range(pause):
                await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        assert shared.readings <= shared.asked == len(pauses)

    asyncio.run(scenario())
