"""`tradewind chain`: linked steps that happen together or not at all, and the way back."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from tradewind.cli.answers import show
from tradewind.cli.client import Client, segment
from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.options import Account, ClientKey
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json, print_fields, print_json, print_rows

chain = App(name="chain", help="Up to three linked steps at once: quote, open, show, close.")
Sub = Annotated[int, Parameter(help="sub-account")]
Steps = Annotated[
    list[str],
    Parameter(
        help="one to three steps: 'buy MARKET OUTCOME MONEY min=SHARES', 'sell MARKET OUTCOME SHARES "
        "min=MONEY', 'liquidity MARKET MONEY', 'mint MARKET CONTRACTS', 'vault MONEY', "
        "'stake TOKENS lock=30', 'flash MONEY', and as the last one 'book-buy MARKET OUTCOME CONTRACTS "
        "max=PRICE' or 'book-sell MARKET OUTCOME CONTRACTS min=PRICE'"
    ),
]
Number = Annotated[int, Parameter(help="number of the chain")]
FORMS = {
    "buy": ("pool_buy", ("market", "outcome", "amount")),
    "sell": ("pool_sell", ("market", "outcome", "amount")),
    "liquidity": ("add_liquidity", ("market", "amount")),
    "mint": ("mint_set", ("market", "amount")),
    "vault": ("vault_deposit", ("amount",)),
    "stake": ("stake", ("amount",)),
    "flash": ("flash_borrow", ("amount",)),
    "book-buy": ("book_buy", ("market", "outcome", "amount")),
    "book-sell": ("book_sell", ("market", "outcome", "amount")),
}
OPTIONS = {"min": "limit", "max": "limit", "lock": "lock_days"}
PRICED = {"book-buy": {"max"}, "book-sell": {"min"}}
"""What orders in books must say, and nothing else: their price."""
COLUMNS = ["kind", "market", "outcome", "amount", "limit", "shares", "sets", "lot"]
CHAINS = ["chain", "state", "base", "fee", "effective_leverage", "leverage_cap", "verses"]


def step_of(text: str) -> dict[str, Any]:
    """A step from its words. In pools `max=` instead of `min=` makes the amount what is received.

    Raises:
        CommandFailure: words that are no step.
    """
    words = text.split()
    verb = words[0] if words else ""
    plain = [word for word in words[1:] if "=" not in word]
    given = dict(word.split("=", 1) for word in words[1:] if "=" in word)
    form = FORMS.get(verb)
    right = given.keys() == PRICED[verb] if verb in PRICED else given.keys() <= OPTIONS.keys()
    if form is None or len(plain) != len(form[1]) or not right:
        known = ", ".join(f"{name} {' '.join(parts).upper()}" for name, (_, parts) in FORMS.items())
        raise CommandFailure(ExitCode.CANNOT, "MALFORMED_STEP", f"{text!r} is no step; steps are: {known}")
    kind, names = form
    step: dict[str, Any] = {"kind": kind, **dict(zip(names, plain, strict=True))}
    step |= {OPTIONS[name]: value for name, value in given.items()}
    if "max" in given and verb not in PRICED:
        step["exact"] = True
    if "lock" in given:
        step["lock_days"] = int(given["lock"]) if given["lock"].isdecimal() else -1
    return step


@chain.command
def quote(steps: Steps, *, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """What a chain of these steps costs: 0.5 % of what it moves, 1 % across verses, 2 % of a flash loan."""
    answer = Client(data).post("/chains/quote", {"steps": [step_of(step) for step in steps]})
    return show(answer, json=json, title="A chain of these steps")


@chain.command(name="open")
def open_chain(
    account: Account,
    steps: Steps,
    *,
    sub: Sub = 0,
    client_key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Do the steps in this order, all of them or none."""
    body = {"account": account, "sub": sub, "steps": [step_of(step) for step in steps]}
    answer = Client(data).post("/chains", body | {"client_key": client_key})
    if json:
        print_json(answer)
    else:
        _print_chain(answer["effect"], title=f"Chain {answer['value']} opened")
    return 0


@chain.command
def close(
    number: Number,
    *,
    limit: Annotated[
        list[str] | None,
        Parameter(help="one a step, in order: least or most money for undoing it, an order's price, or none"),
    ] = None,
    release: Annotated[
        bool, Parameter(negative="", help="undo nothing: what the steps hold stays without the chain")
    ] = False,
    client_key: ClientKey = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Undo the steps, the last one first (an order in a book behind the others), all of them or none."""
    limits = [None if one == "none" else one for one in limit or []]
    body = {"limits": limits, "release": release, "client_key": client_key}
    answer = Client(data).post(f"/chains/{number}/close", body)
    if json:
        print_json(answer)
    else:
        state = answer["effect"].get("state", "closed")
        print_fields({"chain": number, "state": state}, title=f"Chain {number} {state}")
    return 0


@chain.command(name="show")
def show_chain(
    name: Annotated[str, Parameter(help="number of a chain, or with --account an account")],
    *,
    account: Annotated[bool, Parameter(negative="", help="the open chains of this account")] = False,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """One chain with its steps, or the open chains of an account."""
    path = f"/accounts/{segment(name)}/chains" if account else f"/chains/{segment(name)}"
    document = Client(data).get(path)
    if json:
        print_json(document)
    elif account:
        print_rows(document["chains"], CHAINS, title=f"Chains of {name}", empty="no open chains")
    else:
        _print_chain(document, title=f"Chain {name}")
    return 0


def _print_chain(document: dict[str, Any], *, title: str) -> None:
    steps = document.pop("steps")
    print_fields(document, title=title)
    print_rows(steps, COLUMNS, title="Steps", empty="no steps")
