"""The trade tape of one symbol: prints in order, each once, losses named."""

from __future__ import annotations

from tradewind.venues.market_data import FeedEvent, FeedGap, TradePrint


class TradeTape:
    """Drops repeated prints and reports skipped ids. Prints without an id (Kraken v1) pass unjudged."""

    __slots__ = ("duplicates", "gaps", "last_trade_id", "prints", "symbol")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.last_trade_id: int | None = None
        self.prints = 0
        self.duplicates = 0
        self.gaps = 0

    def on_trade(self, trade: TradePrint, out: list[FeedEvent]) -> None:
        """Publish a print, preceded by a `FeedGap` when ids were skipped."""
        trade_id, last = trade.trade_id, self.last_trade_id
        if trade_id is not None:
            if last is not None and trade_id <= last:
                self.duplicates += 1
                return
            if last is not None and trade_id != last + 1:
                self.gaps += 1
                out.append(
                    FeedGap(symbol=self.symbol, reason="trade ids skipped", expected=last + 1, got=trade_id,
                            recv_ts_ns=trade.recv_ts_ns, epoch=trade.epoch)
                )  # fmt: skip
            self.last_trade_id = trade_id
        self.prints += 1
        out.append(trade)

    def restart(self) -> None:
        """Forget the last id: the recording starts again."""
        self.last_trade_id = None
