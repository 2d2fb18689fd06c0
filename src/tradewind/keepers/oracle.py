"""Publishes prices of feeds from market data (protocol P6.1): fresh ones or none.

Nothing is ever repeated: when no new data has arrived since the last publication, the source is silent and
the feed becomes STALE by itself. The value is the middle of the book, the confidence half of the spread and
at least one tick.
"""

from __future__ import annotations

import time
from typing import ClassVar, Final, Protocol

import msgspec

from tradewind.core.errors import Rejected
from tradewind.core.units import to_micros
from tradewind.keepers.port import Action, Identity, Port, SourceDuties, SourceDuty, duty_key
from tradewind.keepers.worker import POLL_S, Worker, WorkerEnded
from tradewind.security.attesting import Signer
from tradewind.security.publications import Publication
from tradewind.venues.feeds.base import Feed
from tradewind.venues.market_data import Instrument, Known

MIN_ROUND_S: Final = 0.05


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """A book's top in micro-units of the quote asset per whole unit. `as_of_ns` is the feed's own clock."""

    bid: int
    ask: int
    tick: int
    as_of_ns: int
    age_ns: int


class Quotes(Protocol):
    """Market data of one origin."""

    def quote(self, symbol: str, probability: bool, settlement: str) -> Quote | str:
        """The top of the market that a feed names, or why there is none."""
        ...


class FeedQuotes:
    """Tops of the mirror books of a market data feed."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed

    def quote(self, symbol: str, probability: bool, settlement: str) -> Quote | str:
        """See `Quotes`. A book that is suspect, stale or one-sided gives none."""
        instrument = None if probability else self._instrument(symbol.upper().replace("-", "/"), settlement)
        if instrument is None:
            return f"no market data for {symbol}"
        now_ns = self.feed.clock_ns()
        top = self.feed.book(instrument.symbol).top(now_ns)
        if not isinstance(top, Known):
            return f"{symbol}: {top.reason}"
        tick = to_micros(instrument.tick)
        bid, ask = top.value.bid_ticks * tick, top.value.ask_ticks * tick
        if not 0 < bid < ask:
            return f"{symbol}: crossed"
        age_ns = max(0, now_ns - top.as_of_ns)
        return Quote(bid=bid, ask=ask, tick=tick, as_of_ns=top.as_of_ns, age_ns=age_ns)

    def _instrument(self, symbol: str, settlement: str) -> Instrument | None:
        """`BTC/USDT` names a market; `BTC` alone means its price in the settlement asset."""
        exact = self.feed.instruments.get(symbol)
        if exact is not None or "/" in symbol:
            return exact
        return self.feed.instruments.get(f"{symbol}/{settlement}")


class OracleWorker(Worker):
    """One source of prices, which it signs itself. `refused`: why this market data must not be published."""

    kind: ClassVar[str] = "oracle"

    def __init__(
        self, identity: Identity, port: Port, quotes: Quotes, signer: Signer, *, refused: str | None = None
    ) -> None:
        """Raises `ValueError` when the key is not that of the identity."""
        super().__init__(identity, port, rate_per_s=100.0, burst=100)
        if signer.source != identity.principal:
            raise ValueError(f"the key does not belong to {identity.name}")
        self.quotes, self.signer = quotes, signer
        self.refused = refused
        self._published: dict[int, tuple[int, int]] = {}
        """Feed → clock of the data published last, and its sequence."""
        self._next_s: dict[int, float] = {}

    async def round(self) -> float:
        if self.refused is not None:
            self.stats.note = self.refused
            return POLL_S
        known = await self.port.sources(self.identity)
        duties = known.feeds
        if not duties:
            self.stats.note = "no feed has this source"
            return POLL_S
        silent: list[str] = []
        for duty in duties:
            now_s = time.monotonic()
            if self._next_s.get(duty.feed, 0.0) > now_s:
                continue
            why = await self._publish(duty, known)
            if why is None:
                self._next_s[duty.feed] = now_s + duty.interval_ms / 1_000
            else:
                silent.append(why)
        self.stats.due = len(silent)
        self.stats.note = "; ".join(silent[:3])
        if silent:
            return min(duty.interval_ms for duty in duties) / 4_000
        soonest_s = min(self._next_s.get(duty.feed, 0.0) for duty in duties) - time.monotonic()
        return max(MIN_ROUND_S, soonest_s)

    async def _publish(self, duty: SourceDuty, known: SourceDuties) -> str | None:
        """Publishes one price; why not, when there is nothing new."""
        now_ns = known.now_ns
        quote = self.quotes.quote(duty.symbol, duty.probability, known.settlement)
        if isinstance(quote, str):
            return quote
        source_time_ns = now_ns - quote.age_ns
        last_clock_ns, last_seq = self._published.get(duty.feed, (0, 0))
        if quote.as_of_ns <= last_clock_ns or source_time_ns <= duty.source_time_ns:
            return f"{duty.symbol}: nothing new since the last publication"
        attempt = self.attempt((duty.feed,), 0, now_ns)
        if attempt is None:
            return f"{duty.symbol}: waiting after a refusal"
        # Never a number twice, whatever happened to an unanswered attempt: two values under one number are
        # evidence against a source. Time ascends across restarts and changes of the market data.
        seq = max(source_time_ns, last_seq + 1, duty.source_seq + 1)
        self._published[duty.feed] = (quote.as_of_ns, seq)
        said = Publication(
            feed=duty.feed,
            value=(quote.bid + quote.ask) // 2,
            confidence=max(quote.tick, (quote.ask - quote.bid + 1) // 2),
            bid=quote.bid,
            ask=quote.ask,
            source_time_ns=source_time_ns,
            source_seq=seq,
        )
        outcome = await self.act(attempt, self._signed(said, known.deployment), source_time_ns)
        if outcome is None:
            return f"{duty.symbol}: over the rate"
        if not outcome.accepted:
            return f"{duty.symbol}: {outcome.code}"
        self.keep_only({known for known in self._attempts if known != (duty.feed,)})
        return None

    def _signed(self, said: Publication, deployment: str) -> Action:
        """The command with the source's signature. Raises `WorkerEnded` when another deployment is pinned."""
        try:
            attestation = self.signer.attest(bytes.fromhex(deployment), said)
        except Rejected as error:
            detail = (
                f"the platform is deployment {deployment[:16]}…, not the one {self.identity.name} signs for"
            )
            raise WorkerEnded(error.name, detail) from error
        return Action(
            command="PublishPrice",
            fields=msgspec.structs.asdict(said),
            key=duty_key("publish", self.identity.principal.hex(), said.feed, said.source_seq),
            attestation=attestation,
        )
