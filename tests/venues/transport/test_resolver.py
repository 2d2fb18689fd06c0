"""An unknown outcome is resolved by client id; absence is proven before anything is sent again (T7.6)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.venues.limits.urgency import decides
from tradewind.venues.market_data import Side
from tradewind.venues.protocol import (
    FillEvent,
    Found,
    Incomplete,
    NotFound,
    OrderPhase,
    OrderState,
    QueryResult,
    Uncertain,
)
from tradewind.venues.transport.resolver import (
    Abandon,
    AbsencePolicy,
    Adopt,
    Doubt,
    Resend,
    Resolver,
    ResolverRunner,
)

SECOND_NS = 1_000_000_000
ABSENT = NotFound(proven_absent=False)
UNHEALTHY = Uncertain("timeout", 0)


def doubt(policy: AbsencePolicy = AbsencePolicy.ABANDON, max_age_s: int = 60) -> Doubt:
    return Doubt(
        client_id="tw1", symbol="BTC/USD", sent_at_ns=0, created_ns=0, horizon_ns=3 * SECOND_NS,
        policy=policy, max_age_ns=max_age_s * SECOND_NS,
    )  # fmt: skip


def state(client_id: str = "tw1", phase: OrderPhase = OrderPhase.WORKING) -> OrderState:
    return OrderState(
        client_id=client_id, venue_id="v", symbol="BTC/USD", side=Side.BUY, phase=phase,
        price_ticks=1, lots=1, filled_lots=0, updated_ns=0,
    )  # fmt: skip


def fill(client_id: str = "tw1") -> FillEvent:
    from decimal import Decimal

    return FillEvent(
        venue="v", account="a", symbol="BTC/USD", trade_id="1", client_id=client_id, venue_id="v",
        side=Side.BUY, price_ticks=1, lots=1, remaining_lots=0, fee=Decimal(0), fee_asset="USD",
        maker=False, sequence=1, venue_ts_ns=0,
    )  # fmt: skip


def test_questions_come_quickly_at_first_and_one_exactly_when_absence_can_be_proven() -> None:
    resolver, now_ns, asked = Resolver(doubt(), skew_bound_ns=SECOND_NS // 2), 0, list[float]()
    while len(asked) < 9:
        now_ns = max(now_ns, resolver.next_query_ns(now_ns))
        asked.append(now_ns / SECOND_NS)
        resolver.answered(UNHEALTHY, now_ns)
    assert asked == [0.2, 0.5, 1, 2, 4, 4.5, 4.75, 5.25, 6.25]
    while len(asked) < 14:
        now_ns = max(now_ns, resolver.next_query_ns(now_ns))
        asked.append(now_ns / SECOND_NS)
        resolver.answered(UNHEALTHY, now_ns)
    assert asked[9:] == [11.25, 11.5, 12, 13, 18], "three quick ones a question, then five seconds"


def test_a_question_that_was_given_up_late_is_followed_at_once_by_one_that_decides() -> None:
    resolver = Resolver(doubt())
    resolver.answered(UNHEALTHY, 2 * SECOND_NS)
    late_ns = 4 * SECOND_NS + 1
    assert resolver.next_query_ns(late_ns) == late_ns
    resolver.answered(ABSENT, late_ns)
    assert resolver.next_query_ns(late_ns) == late_ns + 5 * SECOND_NS


def test_absence_needs_the_horizon_the_margin_the_skew_and_both_lists() -> None:
    resolver = Resolver(doubt(), skew_bound_ns=SECOND_NS)
    assert resolver.answered(ABSENT, 5 * SECOND_NS - 1) is None and not resolver.needs_lists
    assert resolver.answered(ABSENT, 5 * SECOND_NS) is None and resolver.needs_lists
    late_ns = 6 * SECOND_NS
    missing = Incomplete(reason="page 2", got=3)
    assert resolver.listed(missing, [], late_ns, late_ns) is None
    assert resolver.listed([], missing, late_ns, late_ns) is None
    assert resolver.listed([], [], 4 * SECOND_NS, late_ns) is None, "lists older than the answer"
    assert resolver.listed([state("other")], [fill("other")], late_ns, late_ns) == Abandon(
        "tw1", "NeverAtVenue"
    )
    assert resolver.fills_since_ns == -60 * SECOND_NS


def test_an_unhealthy_answer_takes_an_earlier_absence_back() -> None:
    resolver = Resolver(doubt())
    resolver.answered(ABSENT, 5 * SECOND_NS)
    resolver.answered(UNHEALTHY, 6 * SECOND_NS)
    assert not resolver.needs_lists
    assert resolver.listed([], [], 7 * SECOND_NS, 7 * SECOND_NS) is None


def test_a_fill_without_its_order_means_ask_again_and_an_open_order_is_adopted() -> None:
    resolver = Resolver(doubt())
    resolver.answered(ABSENT, 5 * SECOND_NS)
    assert resolver.listed([], [fill()], 5 * SECOND_NS, 5 * SECOND_NS) is None
    assert not resolver.needs_lists
    resolver.answered(ABSENT, 10 * SECOND_NS)
    assert resolver.listed([state()], [], 10 * SECOND_NS, 10 * SECOND_NS) == Adopt(state())


def test_resending_is_only_for_young_intents_that_may() -> None:
    for policy, max_age_s, expected in (
        (AbsencePolicy.RESEND, 60, Resend("tw1")),
        (AbsencePolicy.RESEND, 5, Abandon("tw1", "IntentTooOld")),
        (AbsencePolicy.ABANDON, 60, Abandon("tw1", "NeverAtVenue")),
    ):
        resolver = Resolver(doubt(policy, max_age_s))
        resolver.answered(ABSENT, 5 * SECOND_NS)
        assert resolver.listed([], [], 5 * SECOND_NS, 5 * SECOND_NS) == expected


def test_what_the_venue_shows_later_beats_a_proof_and_a_final_state_stays() -> None:
    resolver = Resolver(doubt())
    resolver.answered(ABSENT, 5 * SECOND_NS)
    resolver.listed([], [], 5 * SECOND_NS, 5 * SECOND_NS)
    filled = state(phase=OrderPhase.FILLED)
    assert resolver.seen(filled) == Adopt(filled)
    assert resolver.seen(state()) == Adopt(filled)
    assert resolver.seen(state("other")) == Adopt(filled)


def test_a_minute_without_a_resolution_pages_once() -> None:
    resolver = Resolver(doubt())
    assert not resolver.pages(60 * SECOND_NS)
    assert resolver.pages(61 * SECOND_NS) and not resolver.pages(62 * SECOND_NS)


ANSWERS = st.lists(
    st.tuples(
        st.integers(0, 4_000), st.sampled_from(["found", "absent", "sick"]), st.sampled_from(["ok", "short"])
    ),
    max_size=20,
)


@settings(max_examples=300, deadline=None)
@given(arrives_ms=st.integers(0, 3_000), answers=ANSWERS, policy=st.sampled_from(list(AbsencePolicy)))
def test_an_order_that_arrived_within_the_horizon_is_never_given_up(
    arrives_ms: int, answers: list[tuple[int, str, str]], policy: AbsencePolicy
) -> None:
    """The venue answers truthfully or not at all; it knows the order from its arrival on."""
    resolver, now_ns = Resolver(doubt(policy)), 0
    for wait_ms, health, lists in answers:
        now_ns = max(resolver.next_query_ns(now_ns), now_ns + wait_ms * 1_000_000)
        there = now_ns >= arrives_ms * 1_000_000
        answer: QueryResult = UNHEALTHY
        if health != "sick":
            answer = Found(state()) if there else ABSENT
        resolver.answered(answer, now_ns)
        if resolver.needs_lists:
            listed = [state()] if there else []
            rows = listed if lists == "ok" else Incomplete(reason="short", got=0)
            resolver.listed(rows, [], now_ns, now_ns)
        assert resolver.resolution in (None, Adopt(state()))


class Venue:
    """Answers queries from a script, then for good with the last one."""

    def __init__(self, *answers: QueryResult) -> None:
        self.answers, self.queries = list(answers), 0

    async def query(self, _: Doubt) -> QueryResult:
        self.queries += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def lists(self, _: Doubt, since_ns: int) -> tuple[list[OrderState], list[FillEvent]]:
        assert since_ns == -60 * SECOND_NS
        return [], []


def fast() -> int:
    """A thousand seconds to a second."""
    return int(asyncio.get_running_loop().time() * 1_000 * SECOND_NS)


async def test_the_runner_asks_until_it_is_known_and_the_stream_may_be_faster() -> None:
    base_ns = fast()
    pages: list[Doubt] = []
    venue = Venue(UNHEALTHY, UNHEALTHY, Found(state()))
    runner = ResolverRunner(venue.query, venue.lists, clock_ns=lambda: fast() - base_ns, on_page=pages.append)
    assert await runner.resolve(doubt()) == Adopt(state())
    pages.clear()
    silent = Venue(UNHEALTHY)
    runner = ResolverRunner(
        silent.query, silent.lists, clock_ns=lambda: fast() - base_ns, on_page=pages.append
    )
    task = asyncio.create_task(runner.resolve(doubt()))
    async with asyncio.timeout(10):
        while not pages:  # noqa: ASYNC110 the page is what is waited for
            await asyncio.sleep(0.001)
    assert runner.open_symbols == {"BTC/USD"}
    with pytest.raises(ValueError, match="already"):
        await runner.resolve(doubt())
    assert not runner.seen(state("other")) and runner.seen(state())
    assert await task == Adopt(state())
    assert not runner.open_symbols and runner.resolved == {"Adopt": 1} and runner.slowest_ns > 0


async def test_the_runner_proves_absence_with_the_lists() -> None:
    base_ns = fast()
    venue = Venue(ABSENT)
    runner = ResolverRunner(venue.query, venue.lists, clock_ns=lambda: fast() - base_ns)
    assert await runner.resolve(doubt()) == Abandon("tw1", "NeverAtVenue")
    assert venue.queries >= 1


async def test_a_query_that_fails_by_a_defect_loses_no_doubt() -> None:
    base_ns = fast()
    venue = Venue(Found(state()))
    failed = 0

    async def query(one: Doubt) -> QueryResult:
        nonlocal failed
        failed += 1
        if failed < 3:
            raise KeyError("a defect")
        return await venue.query(one)

    runner = ResolverRunner(query, venue.lists, clock_ns=lambda: fast() - base_ns)
    assert await runner.resolve(doubt()) == Adopt(state()) and failed == 3


def test_resolved_stays_resolved_and_lists_after_it_change_nothing() -> None:
    resolver = Resolver(doubt())
    resolver.seen(state())
    assert resolver.listed([], [], 9 * SECOND_NS, 9 * SECOND_NS) == Adopt(state())
    assert resolver.answered(ABSENT, 9 * SECOND_NS) == Adopt(state())


class Slow:
    """A venue that writes down what is asked, when, and whether it decides; `held` questions never end."""

    def __init__(self, now_ns: Callable[[], int], held: int = 0, answer: QueryResult = ABSENT) -> None:
        self.now_ns, self.held, self.answer = now_ns, held, answer
        self.asked: list[tuple[str, str, bool]] = []
        self.given_up = self.lists_cancelled = 0

    async def query(self, one: Doubt) -> QueryResult:
        self.asked.append(("query", one.client_id, decides()))
        if self.held:
            self.held -= 1
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.given_up += 1
                raise
        return self.answer

    async def lists(self, one: Doubt, since_ns: int) -> tuple[list[OrderState], list[FillEvent]]:
        self.asked.append(("lists", one.client_id, decides()))
        try:
            await asyncio.sleep(0.01 if isinstance(self.answer, NotFound) else 10.0)
        except asyncio.CancelledError:
            self.lists_cancelled += 1
            raise
        return [], []


async def test_an_early_question_that_hangs_is_given_up_when_absence_can_be_proven() -> None:
    venue = Slow(time.monotonic_ns, held=1)
    runner = ResolverRunner(venue.query, venue.lists, clock_ns=venue.now_ns)
    # from four seconds behind the submit on, which is in a moment
    late = msgspec.structs.replace(doubt(), sent_at_ns=time.monotonic_ns() - 4 * SECOND_NS + SECOND_NS // 2)
    async with asyncio.timeout(20):
        assert await runner.resolve(late) == Abandon("tw1", "NeverAtVenue")
    assert venue.given_up == 1
    # only what can prove something says so, and the lists with it
    assert venue.asked[0] == ("query", "tw1", False)
    assert set(venue.asked[1:]) == {("query", "tw1", True), ("lists", "tw1", True)}
    assert not decides()


async def test_an_order_that_is_found_does_not_wait_for_the_lists() -> None:
    venue = Slow(time.monotonic_ns, answer=Found(state()))
    runner = ResolverRunner(venue.query, venue.lists, clock_ns=venue.now_ns)
    late = msgspec.structs.replace(doubt(), sent_at_ns=time.monotonic_ns() - 60 * SECOND_NS)
    async with asyncio.timeout(5):
        assert await runner.resolve(late) == Adopt(state())
    assert venue.lists_cancelled == 1 or ("lists", "tw1", True) not in venue.asked


async def test_proofs_that_become_possible_shortly_after_each_other_are_made_together() -> None:
    loop = asyncio.get_running_loop()
    base_s = loop.time()
    now_ns = lambda: int((loop.time() - base_s) * SECOND_NS)  # noqa: E731
    venue = Slow(now_ns)
    runner = ResolverRunner(venue.query, venue.lists, clock_ns=now_ns)
    doubts = [
        msgspec.structs.replace(
            doubt(),
            client_id=f"tw{number}",
            sent_at_ns=number * SECOND_NS // 10 - 4 * SECOND_NS + SECOND_NS // 5,
        )
        for number in range(3)
    ]
    moments: list[int] = []
    ask = venue.query

    async def query(one: Doubt) -> QueryResult:
        if decides():
            moments.append(now_ns())
        return await ask(one)

    runner._query = query
    await asyncio.gather(*(runner.resolve(one) for one in doubts))
    first_provable_ns, last_provable_ns = SECOND_NS // 5, SECOND_NS // 5 + SECOND_NS // 5
    assert len(moments) == 3
    assert min(moments) >= last_provable_ns > first_provable_ns, "none asks before the last can be decided"
