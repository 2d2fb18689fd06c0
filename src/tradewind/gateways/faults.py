"""Scripted misbehaviour of a gateway: what drills and chaos tests make a venue do, from a plan and a seed.

A plan is data:

    seed = 7
    [[rules]]
    action = "status"        # answer this status ...
    status = 502
    when = "after"           # ... behind the execution
    surface = "rest"         # patterns as of a shell
    name = "*AddOrder*"
    probability_ppm = 100000 # of the requests that match
    times = 3                # at most so often

Whether a rule acts depends on the seed, the rule and how often it has matched, on nothing else: the same
requests in the same order meet the same faults. Everything that was done is in `log`.
"""

from __future__ import annotations

import hashlib
import time
import tomllib
from collections import deque
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, Literal

import msgspec

PPM: Final = 1_000_000
MAX_RULES: Final = 256
LOG_KEPT: Final = 100_000
MAX_DELAY_MS: Final = 120_000
MAX_HELD_FRAMES: Final = 64
"""Frames of one channel that wait to be sent out of order."""


class Fault(StrEnum):
    """What can be done to a request, or to a frame of a stream."""

    DELAY = "delay"
    DROP_REPLY = "drop_reply"
    """Execute and never answer."""
    RESET = "reset"
    """Cut the connection, before or behind the execution."""
    STATUS = "status"
    """Answer a status of HTTP (429, 418, 403, 5xx), before or behind the execution."""
    MALFORMED = "malformed"
    """Execute and answer bytes that are no JSON."""
    UNKNOWN_ENUM = "unknown_enum"
    """Execute and answer with a state that nobody knows."""
    STALE_STATUS = "stale_status"
    """Answer a query of an order with its state right behind its acceptance."""
    LOSE_ORDER = "lose_order"
    """Acknowledge and forget: nothing is executed."""
    MAINTENANCE = "maintenance"
    CANCEL_ONLY = "cancel_only"
    RATE_BAN = "rate_ban"
    """Answer as to a client that is banned for its rate."""
    DROP_FRAME = "drop_frame"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    """Send a frame behind the next one of its channel."""
    CORRUPT = "corrupt"
    """Cut a frame in half."""
    CORRUPT_CHECKSUM = "corrupt_checksum"
    """Change the checksum of a book."""
    CLOSE = "close"
    """Close the connection of a stream."""


FRAME_FAULTS: Final = frozenset(
    {Fault.DROP_FRAME, Fault.DUPLICATE, Fault.REORDER, Fault.CORRUPT, Fault.CORRUPT_CHECKSUM, Fault.CLOSE}
)


class FaultError(ValueError):
    """A plan that cannot be read; the message says where."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of misbehaviour."""

    action: Fault
    surface: str = "*"
    """rest, ws-api, stream: which part of the gateway."""
    name: str = "*"
    """Path, method or channel."""
    probability_ppm: int = PPM
    skip: int = 0
    """Matches that pass before the rule acts."""
    times: int = 0
    """How often it acts at most; 0: always."""
    delay_ms: int = 0
    status: int = 503
    when: Literal["before", "after"] = "before"
    """Of status and reset: before or behind the execution."""
    seconds: int = 0
    """How long maintenance, cancel-only mode or a ban lasts; 0: this request only."""
    message: str = ""

    def __post_init__(self) -> None:
        """
        Raises:
            FaultError: a value outside of its range.
        """
        if not 0 <= self.probability_ppm <= PPM:
            raise FaultError(f"probability_ppm {self.probability_ppm} is outside of 0 to {PPM}")
        if not 0 <= self.delay_ms <= MAX_DELAY_MS:
            raise FaultError(f"delay_ms {self.delay_ms} is outside of 0 to {MAX_DELAY_MS}")
        if not 400 <= self.status <= 599 or min(self.skip, self.times, self.seconds) < 0:
            raise FaultError(
                f"status {self.status}, skip {self.skip}, times {self.times} or seconds is wrong"
            )

    def matches(self, surface: str, name: str) -> bool:
        """Whether the rule is about this."""
        return fnmatchcase(surface, self.surface) and fnmatchcase(name, self.name)


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules in order, and the seed of everything that is drawn."""

    seed: int = 1
    rules: tuple[Rule, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Plan:
        """A plan of a TOML or JSON file. Raises `FaultError`, `OSError`."""
        content = path.read_bytes()
        try:
            if path.suffix == ".json":
                return msgspec.json.decode(content, type=cls)
            return msgspec.convert(tomllib.loads(content.decode()), cls)
        except (msgspec.DecodeError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise FaultError(f"{path.name}: {error}") from error


class Action(msgspec.Struct, frozen=True, gc=False):
    """What to do to this request now."""

    fault: Fault
    rule: Rule


class Done(msgspec.Struct, frozen=True, gc=False):
    """One thing that was done. `number` counts the matches of the rule; no clock: every run has the same."""

    rule: int
    fault: Fault
    surface: str
    name: str
    number: int


class FaultPlan:
    """The plan in force. Without rules it costs a comparison."""

    def __init__(self, plan: Plan | None = None) -> None:
        self.log: deque[Done] = deque(maxlen=LOG_KEPT)
        self.counts: dict[Fault, int] = {}
        self.replace(plan or Plan())

    def replace(self, plan: Plan) -> None:
        """Another plan from now on; counters begin anew, the log stays.

        Raises:
            FaultError: too many rules.
        """
        if len(plan.rules) > MAX_RULES:
            raise FaultError(f"{len(plan.rules)} rules, at most {MAX_RULES}")
        self.plan = plan
        self._matched = [0] * len(plan.rules)
        self._acted = [0] * len(plan.rules)
        self._held: dict[tuple[str, str], list[bytes]] = {}
        self._until_ns: dict[tuple[int, str], int] = {}
        self._for_requests = [
            (number, rule) for number, rule in enumerate(plan.rules) if rule.action not in FRAME_FAULTS
        ]
        self._for_frames = [
            (number, rule) for number, rule in enumerate(plan.rules) if rule.action in FRAME_FAULTS
        ]

    def on_request(self, surface: str, name: str) -> list[Action]:
        """What happens to a request: a path of HTTP, a method of a socket."""
        if not self._for_requests:
            return []
        return [
            Action(rule.action, rule)
            for number, rule in self._for_requests
            if rule.matches(surface, name) and self._acts(number, rule, surface, name)
        ]

    def on_frame(self, surface: str, channel: str, frame: bytes) -> list[bytes]:
        """What is sent instead of a frame, in order: nothing, one or several frames."""
        if not self._for_frames:
            return [frame]
        place, frames = (surface, channel), [frame]
        held = self._held.pop(place, [])
        for number, rule in self._for_frames:
            # `closes` asks about CLOSE: a rule must not be counted twice for one frame
            if rule.action is Fault.CLOSE or not rule.matches(surface, channel):
                continue
            if not self._acts(number, rule, surface, channel):
                continue
            match rule.action:
                case Fault.DROP_FRAME:
                    frames = []
                case Fault.DUPLICATE:
                    frames = [one for one in frames for _ in range(2)]
                case Fault.CORRUPT:
                    frames = [one[: len(one) // 2] for one in frames]
                case Fault.CORRUPT_CHECKSUM:
                    frames = [corrupted_checksum(one) for one in frames]
                case Fault.REORDER if len(held) + len(frames) <= MAX_HELD_FRAMES:
                    self._held[place] = held + frames
                    return []
        return frames + held

    def closes(self, surface: str, channel: str) -> bool:
        """Whether a stream's connection is to be closed at this frame."""
        return any(
            rule.action is Fault.CLOSE
            and rule.matches(surface, channel)
            and self._acts(number, rule, surface, channel)
            for number, rule in self._for_frames
        )

    def _acts(self, number: int, rule: Rule, surface: str, name: str) -> bool:
        if rule.seconds and time.monotonic_ns() < self._until_ns.get((number, surface), 0):
            return True
        self._matched[number] += 1
        count = self._matched[number]
        if count <= rule.skip or (rule.times and self._acted[number] >= rule.times):
            return False
        if rule.probability_ppm < PPM and _draw(self.plan.seed, number, count) >= rule.probability_ppm:
            return False
        self._acted[number] += 1
        if rule.seconds:
            self._until_ns[number, surface] = time.monotonic_ns() + rule.seconds * 10**9
        self.log.append(Done(number, rule.action, surface, name, count))
        self.counts[rule.action] = self.counts.get(rule.action, 0) + 1
        return True


def _draw(seed: int, rule: int, count: int) -> int:
    """A number from 0 to a million (exclusive) that only these three decide."""
    digest = hashlib.blake2b(f"{seed}/{rule}/{count}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % PPM


def corrupted_checksum(frame: bytes) -> bytes:
    """The frame with another `checksum`, as it is where it has none."""
    marker = b'"checksum":'
    start = frame.find(marker)
    if start < 0:
        return frame
    start += len(marker)
    while frame[start : start + 1] == b" ":
        start += 1
    end = start
    while frame[end : end + 1].isdigit():
        end += 1
    if end == start:
        return frame
    return frame[:start] + str((int(frame[start:end]) + 1) % (1 << 32)).encode() + frame[end:]
