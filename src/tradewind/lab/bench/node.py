"""Suite `node`: the whole service from Python, auditor included. What counts is durable and published."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Final

import structlog
import uvloop

from tradewind.core import measure
from tradewind.core.measure import BATCH_COMMANDS, COMMAND_SIZE, StandardStream
from tradewind.lab.bench.context import (
    Context,
    Figures,
    MeasureFailed,
    microseconds,
    per_second,
    percentile,
    refuse_many_refusals,
)
from tradewind.node.service import NodeService

PACED_PER_SECOND: Final = 1_000
IN_FLIGHT: Final = 4
"""Submissions that wait at the same time, as busy gateways would have them."""
ROUND_BATCHES: Final = 32
"""Batches that are generated before the clock runs: bounds the memory."""


class _StreamClock:
    """Time of the oldest batch in flight: commands are valid for a bounded time after it."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns


class _Driver:
    """Feeds the standard stream into a service and counts what came back."""

    def __init__(self, service: NodeService, stream: StandardStream, clock: _StreamClock) -> None:
        self.service = service
        self.stream = stream
        self.clock = clock
        self.refused = self.commands = 0

    async def prepare(self) -> None:
        for part in self.stream.setup:
            self._take(part, await self.service.submit_buffer(part))
        for part, now_ns in self.stream.fill():
            self.clock.now_ns = now_ns
            self._take(part, await self.service.submit_buffer(part))
        refuse_many_refusals("set-up", self.refused, self.commands)
        self.refused = self.commands = 0

    async def throughput(self, batches: int) -> int:
        """Nanoseconds that the service took to acknowledge so many batches."""
        elapsed_ns = 0
        while batches > 0:
            count = min(batches, ROUND_BATCHES)
            parts = [self.stream.next("mixed", BATCH_COMMANDS) for _ in range(count)]
            begin_ns = time.perf_counter_ns()
            answers = await self._keep_in_flight(parts)
            elapsed_ns += time.perf_counter_ns() - begin_ns
            for (part, _), answer in zip(parts, answers, strict=True):
                self._take(part, answer)
            batches -= count
        return elapsed_ns

    async def _keep_in_flight(self, parts: Sequence[tuple[bytes, int]]) -> list[memoryview]:
        waiting: list[asyncio.Task[memoryview]] = []
        answers: list[memoryview] = []
        for index, (part, _) in enumerate(parts):
            if len(waiting) == IN_FLIGHT:
                answers.append(await waiting.pop(0))
            self.clock.now_ns = parts[index - len(waiting)][1]
            waiting.append(asyncio.create_task(self.service.submit_buffer(part)))
        answers += [await task for task in waiting]
        return answers

    async def acknowledgements(self, count: int) -> list[int]:
        """Nanoseconds from submitting one command to its decoded, durable answer, one after the other."""
        samples = []
        for _ in range(count):
            part, now_ns = self.stream.next("mixed", 1)
            self.clock.now_ns = now_ns
            begin_ns = time.perf_counter_ns()
            results = await self.service.submit(part)
            samples.append(time.perf_counter_ns() - begin_ns)
            if len(results) != 1:
                raise MeasureFailed(f"{len(results)} results for one command")
        return samples

    async def paced(self, count: int) -> list[int]:
        """Nanoseconds from the moment at which a command was due to its decoded, durable answer, open-loop.

        `PACED_PER_SECOND` are due each second, whether or not earlier ones were answered: a stall counts
        for every command that it delays.
        """
        parts = [self.stream.next("mixed", 1) for _ in range(count)]
        samples: list[int] = []

        async def one(part: bytes, due_ns: int) -> None:
            results = await self.service.submit(part)
            samples.append(time.perf_counter_ns() - due_ns)
            if len(results) != 1:
                raise MeasureFailed(f"{len(results)} results for one command")

        begin_ns = time.perf_counter_ns()
        async with asyncio.TaskGroup() as group:
            for index, (part, now_ns) in enumerate(parts):
                due_ns = begin_ns + index * 1_000_000_000 // PACED_PER_SECOND
                if (wait_ns := due_ns - time.perf_counter_ns()) > 0:
                    await asyncio.sleep(wait_ns / 1e9)
                self.clock.now_ns = now_ns
                group.create_task(one(part, due_ns))
        return samples

    def _take(self, part: bytes, results: memoryview) -> None:
        count = len(part) // COMMAND_SIZE
        self.commands += count
        self.refused += count - measure.accepted(results)


def run(context: Context) -> Figures:
    """Durable throughput with four submissions in flight, and the time to one durable acknowledgement."""
    with quiet_log():
        return uvloop.run(_measure(context))


@contextlib.contextmanager
def quiet_log() -> Iterator[None]:
    """Only errors are logged, to standard error: standard output is for the figures."""
    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)


async def _measure(context: Context) -> Figures:
    effort = context.effort
    stream = StandardStream(effort.live_orders)
    clock = _StreamClock(stream.setup_ns)
    folder = context.folder("node")
    service = await NodeService.start(folder, genesis=stream.genesis, clock=clock, reserve_bytes=0)
    async with service:
        driver = _Driver(service, stream, clock)
        context.tell("accounts and resting orders")
        await driver.prepare()
        context.tell("single acknowledgements")
        samples = await driver.acknowledgements(effort.node_acknowledgements)
        context.tell(f"{PACED_PER_SECOND:,} commands a second, open-loop")
        paced = await driver.paced(effort.node_paced)
        context.tell("durable batches")
        elapsed_ns = await driver.throughput(effort.node_batches)
        refuse_many_refusals("mixed", driver.refused, driver.commands)
        return {
            "durable_commands_per_second": per_second(driver.commands, elapsed_ns),
            "ack_p50_us": microseconds(percentile(samples, 0.5)),
            "ack_p99_us": microseconds(percentile(samples, 0.99)),
            "ack_max_us": microseconds(max(samples)),
            "paced_p50_us": microseconds(percentile(paced, 0.5)),
            "paced_p99_us": microseconds(percentile(paced, 0.99)),
            "paced_max_us": microseconds(max(paced)),
            "paced_commands": len(paced),
            "commands": driver.commands,
            "refused": driver.refused,
            "acknowledgements": len(samples),
            "blocks": service.blocks_committed,
        }
