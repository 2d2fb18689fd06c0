"""The console's regions as HTML text: pure functions of the view. Everything from outside is escaped."""

from __future__ import annotations

from decimal import Decimal
from html import escape

from tradewind.observe.view import (
    Alarm,
    FeedState,
    FillRow,
    Level,
    LimitState,
    LimitView,
    OrderRow,
    OutcomePrice,
    OutcomeRow,
    PlatformView,
    Quality,
    Reading,
    Severity,
    StrategyView,
)

from . import text

LADDER_LEVELS = 11
"""Price levels shown per side."""
FILL_ROWS = 24
ORDER_ROWS = 24
REJECT_ROWS = 6
ALARM_ROWS = 5

TRADING_LABELS = {
    "normal": ("●", "Normal"),
    "reduce_only": ("▲", "Reduce only"),
    "halted": ("■", "Halted"),
    "unknown": ("◌", "State unknown"),
}
FEED_LABELS = {
    FeedState.LIVE: ("●", "Live"),
    FeedState.SYNCING: ("◐", "Synchronising"),
    FeedState.STALE: ("▲", "Stale"),
    FeedState.SUSPECT: ("▲", "Suspect"),
    FeedState.ENDED: ("■", "Ended"),
    FeedState.DOWN: ("■", "Down"),
    FeedState.UNKNOWN: ("◌", "Unknown"),
}
GAUGE_LABELS = {
    LimitState.OK: "within",
    LimitState.WARN: "close",
    LimitState.FULL: "at the limit",
    LimitState.UNKNOWN: "unknown",
}
SEVERITY_SHAPES = {Severity.INFO: "ⓘ", Severity.WARNING: "▲", Severity.CRITICAL: "■"}


def quote_decimals(view: PlatformView) -> int:
    """Places of a price."""
    return text.decimals_of(view.market.tick)


def lot_decimals(view: PlatformView) -> int:
    """Places of a quantity."""
    return text.decimals_of(view.market.lot)


def _side(side: str) -> str:
    buy = side == "buy"
    return (
        f'<span class="side {"buy" if buy else "sell"}"><i class="shape" aria-hidden="true">'
        f"{'▲' if buy else '▼'}</i>{'Buy' if buy else 'Sell'}</span>"
    )


def identity(view: PlatformView) -> str:
    """Environment badge and, for a generated market, the label that says so."""
    env = escape(view.env)
    parts = [f'<span class="badge env env-{env}" id="env-badge">{escape(view.env.upper())}</span>']
    if view.feed.generated:
        parts.append(
            '<span class="badge generated" id="generated-label" role="status">'
            '<i class="shape" aria-hidden="true">◆</i>GENERATED MARKET · not real prices</span>'
        )
    return "".join(parts)


def feed(view: PlatformView) -> str:
    """Origin, state and age of market data."""
    shape, label = FEED_LABELS[view.feed.state]
    age = text.age(view.feed.age_ms)
    budget = "" if view.feed.budget_ms is None else f" of {text.age(view.feed.budget_ms)} allowed"
    detail = f" · {view.feed.detail}" if view.feed.detail else ""
    title = escape(f"{view.feed.label}: {label}, age {age}{budget}{detail}")
    return (
        f'<span class="pill feed-{view.feed.state.value}" id="feed-state" title="{title}">'
        f'<i class="shape" aria-hidden="true">{shape}</i><b>{label}</b>'
        f'<span class="quiet feed-label">{escape(view.feed.label)}</span>'
        f'<span class="age" id="feed-age">{age}</span></span>'
    )


def trading(view: PlatformView) -> str:
    """Trading state with its reason."""
    shape, label = TRADING_LABELS.get(view.trading.state, TRADING_LABELS["unknown"])
    reason = escape(view.trading.reason)
    since = "" if view.trading.since_ns is None else f" since {text.clock(view.trading.since_ns)} UTC"
    note = f'<span class="quiet reason">{reason}</span>' if reason else ""
    return (
        f'<span class="pill state-{escape(view.trading.state)}" id="trading-state" '
        f'data-state="{escape(view.trading.state)}" title="{escape(label)}{since} {reason}">'
        f'<i class="shape" aria-hidden="true">{shape}</i><b>{label}</b>{note}</span>'
    )


def ticker(view: PlatformView) -> str:
    """Symbol, last price and best prices."""
    places = quote_decimals(view)
    market = view.market
    cells = "".join(
        f'<span class="tick"><span class="quiet">{name}</span>{text.reading(value, shown)}</span>'
        for name, value, shown in (
            ("Bid", market.bid, places),
            ("Ask", market.ask, places),
            ("Spread", market.spread, places),
            ("bps", market.spread_bps, 3),
        )
    )
    return (
        f'<span class="symbol">{escape(market.symbol or "no market")}</span>'
        f'<span class="last" id="last-price">{text.reading(market.last, places)}</span>{cells}'
        f'<span class="tick"><span class="quiet">Market</span><b>{escape(market.status)}</b></span>'
    )


def alarms(view: PlatformView) -> str:
    """What needs attention now; empty when nothing does."""
    return "".join(_alarm(alarm) for alarm in view.alarms[:ALARM_ROWS])


def _alarm(alarm: Alarm) -> str:
    return (
        f'<div class="alarm {alarm.severity.value}" data-code="{escape(alarm.code)}">'
        f'<i class="shape" aria-hidden="true">{SEVERITY_SHAPES[alarm.severity]}</i>'
        f"<b>{escape(alarm.code)}</b> {escape(alarm.text)}</div>"
    )


def tiles(view: PlatformView) -> str:
    """Equity, profit and loss, position: the numbers that reconcile to the ledger."""
    profit, unit = view.profit, escape(view.profit.unit)
    fills = "unknown" if profit.fill_count is None else f"{profit.fill_count:,}"
    position = text.reading(view.position.quantity, lot_decimals(view), signed=True)
    average = _average(view)
    entries = (
        ("total", "Profit and loss", text.money(profit.total, signed=True), f"{unit}, after fees"),
        ("realised", "Realised", text.money(profit.realised, signed=True), f"{unit}, before fees"),
        ("unrealised", "Unrealised", text.money(profit.unrealised, signed=True), f"{unit}, at the mark"),
        ("fees", "Fees paid", text.money(profit.fees), f"{unit}, {fills} fills"),
        ("equity", "Equity", text.money(profit.equity), unit),
        ("position", "Position", position, f"{escape(view.market.base)}, {average}"),
    )
    return "".join(
        f'<div class="tile" id="tile-{key}"><h3>{name}</h3><div class="value">{value}</div>'
        f'<div class="quiet note">{note}</div></div>'
        for key, name, value, note in entries
    )


def _average(view: PlatformView) -> str:
    quantity = view.position.quantity
    if quantity.value is not None and Decimal(quantity.value) == 0:
        return "flat"
    return f"average {text.reading(view.position.average_price, quote_decimals(view))}"


def _ladder_row(level: Level, side: str, largest: Decimal, places: int, lots: int) -> str:
    share = float(Decimal(level.cumulative) / largest * 100) if largest else 0.0
    own = Decimal(level.own)
    mark = (
        f'<span class="own" title="ours: {text.fixed(level.own, lots)}"><i aria-hidden="true">◆</i>'
        f"{text.fixed(level.own, lots)}</span>"
        if own
        else ""
    )
    return (
        f'<tr class="{side}{" ours" if own else ""}" style="--depth:{share:.1f}%">'
        f"<td>{mark}</td><td>{text.fixed(level.cumulative, lots)}</td><td>{text.fixed(level.size, lots)}</td>"
        f'<td class="price">{text.fixed(level.price, places)}</td></tr>'
    )


def ladder(view: PlatformView) -> str:
    """Price ladder: asks above, bids below, the spread between; own orders carry a diamond."""
    bids, asks = view.depth.bids[:LADDER_LEVELS], view.depth.asks[:LADDER_LEVELS]
    if not bids and not asks:
        return f'<p class="empty">The book is empty or not known ({view.depth.quality.value}).</p>'
    places, lots = quote_decimals(view), lot_decimals(view)
    largest = max(Decimal(side[-1].cumulative) for side in (bids, asks) if side)
    rows = [_ladder_row(level, "sell", largest, places, lots) for level in reversed(asks)]
    spread = text.reading(view.market.spread, places)
    rows.append(f'<tr class="spread"><td colspan="4">spread {spread}</td></tr>')
    rows += [_ladder_row(level, "buy", largest, places, lots) for level in bids]
    return (
        '<table class="ladder"><thead><tr><th>Ours</th><th>Total</th><th>Size</th><th>Price</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def quality_note(quality: Quality, age_ms: int | None) -> str:
    """Age of a panel's data; loud when it is not known to be current."""
    if quality is Quality.UNKNOWN:
        return '<span class="age bad">unknown</span>'
    tone = "" if quality is Quality.KNOWN else " bad"
    return f'<span class="age{tone}">{quality.value if tone else ""} {text.age(age_ms)}</span>'


def orders(view: PlatformView) -> str:
    """Own open orders, nearest to the market first as the view gives them."""
    if view.orders_open is None:
        return f'<p class="empty">Open orders: {text.unknown()}</p>'
    if not view.orders:
        return '<p class="empty">No open orders.</p>'
    rows = "".join(
        _order_row(order, quote_decimals(view), lot_decimals(view)) for order in view.orders[:ORDER_ROWS]
    )
    hidden = view.orders_open - min(len(view.orders), ORDER_ROWS)
    more = f'<p class="empty">and {hidden} more</p>' if hidden > 0 else ""
    return (
        '<table class="rows"><thead><tr><th class="left">Side</th><th>Price</th>'
        '<th>Quantity</th><th>Filled</th><th class="wide">Ahead</th>'
        '<th>Age</th><th class="left wide">State</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>{more}"
    )


def _order_row(order: OrderRow, places: int, lots: int) -> str:
    ahead = text.unknown() if order.ahead is None else text.fixed(order.ahead, lots)
    return (
        f'<tr data-order="{escape(order.id)}" title="order {escape(order.id)} · {escape(order.client_id)}">'
        f'<td class="left">{_side(order.side)}</td><td>{text.fixed(order.price, places)}</td>'
        f"<td>{text.fixed(order.quantity, lots)}</td><td>{text.fixed(order.filled, lots)}</td>"
        f'<td class="wide">{ahead}</td><td>{text.age(order.age_ms)}</td>'
        f'<td class="left wide">{escape(order.state)}</td></tr>'
    )


def fills(view: PlatformView) -> str:
    """Own executions, newest first."""
    if not view.fills:
        return '<p class="empty">No fills yet.</p>'
    rows = "".join(
        _fill_row(fill, quote_decimals(view), lot_decimals(view)) for fill in view.fills[:FILL_ROWS]
    )
    return (
        '<table class="rows"><thead><tr><th class="left">Time (UTC)</th><th class="left">Side</th>'
        '<th>Price</th><th>Quantity</th><th>Fee</th><th class="left wide">Role</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _fill_row(fill: FillRow, places: int, lots: int) -> str:
    return (
        f'<tr data-seq="{fill.seq}" title="sequence {fill.seq}, notional {text.grouped(fill.notional)}">'
        f'<td class="left">{text.clock(fill.time_ns)}</td><td class="left">{_side(fill.side)}</td>'
        f"<td>{text.fixed(fill.price, places)}</td><td>{text.fixed(fill.quantity, lots)}</td>"
        f"<td>{text.exact(fill.fee, 2, text.MONEY_DECIMALS)} "
        f'<span class="unit">{escape(fill.fee_asset)}</span></td>'
        f'<td class="left wide">{escape(fill.liquidity)}</td></tr>'
    )


def balances(view: PlatformView) -> str:
    """Funds per asset with their quality; every digit shown."""
    if not view.balances:
        return f'<p class="empty">Balances: {text.unknown()}</p>'
    rows = "".join(
        f'<tr data-asset="{escape(row.asset)}"><td class="left"><b>{escape(row.asset)}</b></td>'
        f"<td>{text.reading(row.free, 6)}</td><td>{text.reading(row.held, 6)}</td>"
        f"<td>{text.reading(row.total, 6)}</td><td>{_quality(row.total)}</td></tr>"
        for row in view.balances
    )
    return (
        '<table class="rows"><thead><tr><th class="left">Asset</th><th>Free</th><th>Held</th><th>Total</th>'
        f"<th>Known</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _quality(value: Reading) -> str:
    shape = {Quality.KNOWN: "●", Quality.STALE: "▲", Quality.UNKNOWN: "◌"}[value.quality]
    word = text.age(value.age_ms) if value.quality is Quality.KNOWN else value.quality.value
    return f'<span class="quality {value.quality.value}"><i aria-hidden="true">{shape}</i>{word}</span>'


def limits(view: PlatformView) -> str:
    """Risk limits as fuel gauges."""
    if not view.limits:
        return f'<p class="empty">Limits: {text.unknown()}</p>'
    return f'<ul class="gauges">{"".join(_gauge(limit) for limit in view.limits)}</ul>'


def _gauge(limit: LimitView) -> str:
    used = text.unknown() if limit.used.value is None else text.grouped(limit.used.value)
    percent = None if limit.fraction is None else max(0.0, limit.fraction * 100)
    filled = 0.0 if percent is None else min(100.0, percent)
    share = "unknown" if percent is None else f"{percent:.0f} %"
    value_now = "" if percent is None else f'aria-valuenow="{filled:.0f}"'
    spoken = escape(f"{limit.name}: {share} used, {GAUGE_LABELS[limit.state]}")
    return (
        f'<li class="gauge {limit.state.value}" data-code="{escape(limit.code)}">'
        f'<div class="gauge-head"><span>{escape(limit.name)}</span><b>{share}</b></div>'
        f'<div class="bar" role="meter" aria-valuemin="0" aria-valuemax="100" {value_now} '
        f'aria-label="{spoken}" aria-valuetext="{spoken}"><span style="width:{filled:.1f}%"></span></div>'
        f'<div class="quiet gauge-foot"><span>{escape(limit.code)} · {GAUGE_LABELS[limit.state]}</span>'
        f'<span class="num">{used} / {text.grouped(limit.limit)} {escape(limit.unit)}</span></div></li>'
    )


def outcomes(view: PlatformView) -> str:
    """Outcome and distribution markets with prices, pool and resolution."""
    if not view.outcomes.rows:
        return '<p class="empty none">No outcome markets.</p>'
    rows = "".join(_outcome_row(row) for row in view.outcomes.rows)
    hidden = view.outcomes.count - len(view.outcomes.rows)
    more = f'<p class="empty">and {hidden:,} more</p>' if hidden > 0 else ""
    return (
        '<table class="rows"><thead><tr><th class="left">Market</th><th class="left">Status</th>'
        '<th class="left">Resolution</th><th class="left">Prices</th><th class="left wide">Pool</th>'
        '<th class="wide">Sets</th><th>Settles</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>{more}"
    )


def outcome_counts(view: PlatformView) -> str:
    """How many there are, how many trade, how many are disputed."""
    of = view.outcomes
    disputed = f' · <b class="loss">{of.disputed:,} disputed</b>' if of.disputed else ""
    return f'<span class="age" id="outcome-count">{of.trading:,} of {of.count:,} trading{disputed}</span>'


def _outcome_row(row: OutcomeRow) -> str:
    if row.estimate:
        prices = f'<span class="odds"><b class="num">{escape(row.estimate)}</b></span>'
    else:
        prices = "".join(_odds(price) for price in row.prices)
    hidden = 0 if row.estimate else row.outcomes - len(row.prices)
    more = f'<span class="quiet">+{hidden}</span>' if hidden > 0 else ""
    cash = "" if row.pool_cash is None else f' <span class="quiet num">{text.grouped(row.pool_cash)}</span>'
    return (
        f'<tr data-market="{escape(row.symbol)}"><td class="left"><b>{escape(row.symbol)}</b></td>'
        f'<td class="left">{_outcome_status(row.status)}</td><td class="left">{_stage(row.stage)}</td>'
        f'<td class="left odds-cell">{prices}{more}</td>'
        f'<td class="left wide">{escape(row.pool) or "–"}{cash}</td>'
        f'<td class="wide num">{text.grouped(row.sets)}</td><td>{_settles(row.settles_in_ms)}</td></tr>'
    )


def _odds(price: OutcomePrice) -> str:
    shown = text.unknown() if price.price is None else f'<b class="num">{escape(price.price)}</b>'
    title = escape(f"{price.name}: {price.source or 'no price'}")
    return (
        f'<span class="odds" title="{title}"><span class="quiet">{escape(price.name)}</span> {shown}</span>'
    )


def _outcome_status(status: str) -> str:
    shape = {"active": "●", "paused": "▲"}.get(status, "■" if status in ("closed", "resolving") else "◌")
    return f'<i class="shape" aria-hidden="true">{shape}</i> {escape(status.replace("_", " "))}'


def _stage(stage: str) -> str:
    if not stage:
        return "–"
    tone = {"disputed": ' class="loss"', "final": ' class="gain"'}.get(stage, "")
    return f"<b{tone}>{escape(stage)}</b>"


def _settles(left_ms: int) -> str:
    """Time until a market ends: days for far ones."""
    if left_ms <= 0:
        return "over"
    days = left_ms // 86_400_000
    return f"{days} d" if days > 1 else text.age(left_ms)


def _pairs(pairs: list[tuple[str, str, str]]) -> str:
    cells = "".join(
        f'<div id="fact-{key}"><dt>{name}</dt><dd>{value}</dd></div>' for key, name, value in pairs
    )
    return f'<dl class="facts">{cells}</dl>'


def journal(view: PlatformView) -> str:
    """Durable head of the journal."""
    head = view.head
    block = text.unknown() if head.block is None else f"{head.block:,}"
    seq = text.unknown() if head.seq is None else f"{head.seq:,}"
    free = text.unknown() if head.free_bytes is None else text.size(head.free_bytes)
    if head.stopped:
        durable = f'<span class="loss">■ stopped: {escape(head.stopped)}</span>'
    elif head.writable is None:
        durable = text.unknown()
    else:
        durable = (
            '<span class="gain">● synced</span>'
            if head.writable
            else '<span class="loss">■ cannot write</span>'
        )
    return _pairs(
        [
            ("block", "Block", f'<span class="num">{block}</span>'),
            ("seq", "Sequence", f'<span class="num">{seq}</span>'),
            ("age", "Last block", text.age(head.age_ms)),
            ("durable", "Journal", durable),
            ("free", "Free on disk", free),
        ]
    )


def head_hash(view: PlatformView) -> str:
    """The head's hash: short form shown, full form in the title and for the copy button."""
    full = escape(view.head.hash)
    if not full:
        return f'<code id="head-hash" data-hash="">{text.unknown()}</code>'
    return f'<code id="head-hash" data-hash="{full}" title="{full}">{full[:12]}…{full[-8:]}</code>'


def performance(view: PlatformView) -> str:
    """Throughput, acknowledgement latency and refused commands."""
    counters = view.counters
    rate = text.unknown() if counters.commands_per_s is None else f"{counters.commands_per_s:,.0f}"
    total = text.unknown() if counters.commands_total is None else f"{counters.commands_total:,}"
    trades = text.unknown() if counters.trades_total is None else f"{counters.trades_total:,}"
    memory = text.unknown() if counters.rss_bytes is None else text.size(counters.rss_bytes)
    facts = _pairs(
        [
            ("rate", "Commands / s", f'<span class="num">{rate}</span>'),
            ("commands", "Commands", f'<span class="num">{total}</span>'),
            ("trades", "Trades", f'<span class="num">{trades}</span>'),
            ("ack50", "Durable ack p50", f'<span class="num">{text.latency(counters.ack_p50_us)}</span>'),
            ("ack99", "Durable ack p99", f'<span class="num">{text.latency(counters.ack_p99_us)}</span>'),
            ("uptime", "Up", text.duration(counters.uptime_s)),
            ("memory", "Memory", memory),
        ]
    )
    refused = sorted(counters.rejects.items(), key=lambda item: (-item[1], item[0]))[:REJECT_ROWS]
    names = "".join(f'<span class="chip">{escape(name)} <b>{count:,}</b></span>' for name, count in refused)
    return facts + (f'<div class="chips"><span class="quiet">Refused</span>{names}</div>' if refused else "")


def strategy(view: PlatformView) -> str:
    """Every strategy: its state and why, and what it has made."""
    return "<br>".join(_strategy(one) for one in view.strategies or (view.strategy,))


def _strategy(one: StrategyView) -> str:
    name = escape(one.name or "no strategy")
    detail = f' <span class="quiet">{escape(one.detail)}</span>' if one.detail else ""
    net = f' <span class="num">{escape(one.net)}</span>' if one.net else ""
    return f"<b>{name}</b> {escape(one.state)}{net}{detail}"
