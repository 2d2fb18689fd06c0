"""`docs/risk.md`: limits and codes from the catalogue, values from the shipped profiles.

`python -m tradewind.trader.risk.page` prints it.
"""

from __future__ import annotations

import sys

from .catalogue import CATALOGUE, OTHER_CODES, value_of
from .profile import SymbolLimits, load_profile, profile_names

HEAD = """# Risk

<!-- Written by `python -m tradewind.trader.risk.page`; do not edit. -->

Every order of every path goes through one module: a strategy's, an algorithm's, one by hand, a resend and the
slices of a flatten. It answers with nothing (the order may leave) or with all limits that the order violates.
Cancels never ask. An order that only reduces a position is not stopped by limits of new risk.

A ceiling is kept when the value is at most the limit. What is not known (a stale book, balances that were not
compared, no mark of the day) denies new risk. An error inside the module denies and halts the account.

## Limits

Each limit exists once, in the risk profile, and each profile states all of them. `tradewind risk limits`
shows them with what is used now.

"""
BETWEEN = """
L29 is the loss since the stage began. It halts at its bound, counts on over midnight and restarts, and two
people reset it. L14 and L05 are stated twice, as a part of equity and as an amount: the tighter one holds.

## Values of the shipped profiles

"""
REST = """
`canary`, `canary-7`, `canary-pair-2`, `live-example` and `live-example-3` are the steps of the ramp in this
order. One thing changes from step to step. The two `live` ones are examples: state your own values.

A profile with an unknown key, a float, a missing limit or two limits that contradict each other is refused,
and all causes are named. Examples of contradictions: an order larger than a position may be, a strategy that
may lose more than the account, a daily loss that the part of equity can never reach.

## Codes that no limit has

"""
TAIL = """
Codes of the venue's own filters (`OffTick`, `BelowMinNotional` and so on) come as they are, under L03.

## Why was this order refused?

`tradewind risk explain --last 5` lists refused orders; `tradewind risk explain ID` shows one: each code with
its bound, the value, and what would have passed; and every state in force then, with who set it and why. It
reads the log and works without a running platform.

## States

Normal, ReduceOnly, Halted. The most restrictive one of account, venue, strategy and symbol counts.
`tradewind risk states` shows them, `tradewind risk reset SCOPE CAUSE REASON --second NAME` ends one.

| cause | ends |
|---|---|
| `total_loss` | by two people |
| `daily_loss` | by a person, not before the next UTC day |
| `drawdown`, `reconciliation`, `foreign_activity`, `operator`, `overfill`, `suspense`, `risk` | by a person |
| `fault` of a strategy | by a person |
| `outage`, `stale`, `maintenance`, `correlation`, `control`, `resources` | by their own rule |

With more equity than `dual_control_quote` two people reset what one person may otherwise.

## Limits that change

A lower limit counts at once. A higher one needs two people, waits an hour, and then until no position is open
in its scope. A profile that was edited while the trader was down lowers limits and does not raise them.

## Behaviour

Patterns of orders and results, per strategy and per person. They never stop a cancel or an order that
reduces.

| pattern | what follows |
|---|---|
| 3 stop-outs in a row within 24 h | no new risk for 30 min (`CoolDown`) |
| the same symbol and side within 60 s of a stop | denied (`Reentry`) |
| over 40 % of at least 50 orders cancelled within 5 s, in 15 min | a quarter of the messages for 15 min |
| over 5 changes of one order within 60 s | no further ones for 60 s (`AmendThrottle`) |
| over twice the usual orders of this hour, for 15 min | half the size until below 1.2 times |
| a limit is raised | see above |
| over 2 overrides by one person in a UTC day | a second person (`OverrideLimit`) |
| over 1.5 times the median of 20 sizes within 10 min of a loss | denied (`SizeAfterLoss`) |
| 3 of these in 24 h | reduce only: a strategy until the next UTC day, a person until approval |

A strategy that declares `quotes` lives from cancelling and changing orders: the third and fourth pattern do
not apply to it, and its sizes are compared with the largest of the last 20.

## Size

A strategy asks `context.size(...)`. The answer is the least of all caps (risk at the stop, position, order,
exposures, volume, half the depth, free money, the venue's bounds, its budget), times the multipliers
(balances, drawdown, correlation, behaviour, stage), down to whole lots. Below the venue's minimum there is no
order. Anything that is not known gives no size.

## Correlation

Hourly returns of 30 days, shrunk to constant correlation (Ledoit and Wolf). Fewer than 240 hours: every pair
counts as 0.5. A new matrix waits in shadow for a day; the last good one holds for seven days, then every pair
counts as 0.9. `tradewind risk correlation` shows it, `tradewind risk correlation --revert` brings the last
one back.
"""


def page() -> str:
    """The whole page."""
    return HEAD + _limits() + BETWEEN + _values() + REST + _codes() + TAIL


def _table(columns: list[str], rows: list[list[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def _limits() -> str:
    rows = [
        [entry.id, f"`{entry.key}`" if entry.key else "", entry.title, entry.unit, entry.scope, entry.source,
         f"`{entry.code}`"]
        for entry in CATALOGUE
    ]  # fmt: skip
    return _table(["id", "key", "what", "unit", "scope", "evaluated on", "code"], rows)


def _values() -> str:
    profiles = [load_profile(name) for name in profile_names()]
    rows = []
    for entry in CATALOGUE:
        if entry.key and entry.key not in SymbolLimits.__struct_fields__:
            rows.append([entry.id, *(str(value_of(one.limits, entry.key)) for one in profiles)])
    symbols = sorted({symbol for one in profiles for symbol in one.limits.symbols})
    for symbol in symbols:
        cells = [
            str(value_of(one.limits, "max_order_qty_base", symbol)) if symbol in one.limits.symbols else ""
            for one in profiles
        ]
        rows.append([f"L01 {symbol}", *cells])
    return _table(["id", *(one.name for one in profiles)], sorted(rows))


def _codes() -> str:
    return _table(["code", "meaning"], [[f"`{code}`", text] for code, text in OTHER_CODES.items()])


if __name__ == "__main__":
    sys.stdout.write(page())
