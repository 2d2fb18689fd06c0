"""`tradewind keeper`: register, stake, act, slash, list, and run a worker alone."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import App, Parameter

from tradewind.cli.answers import show, show_rows
from tradewind.cli.client import Client
from tradewind.cli.options import Account, Actor
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json

keeper = App(name="keeper", help="Keepers: register, stake, duties, slashing, workers.")
Amount = Annotated[str, Parameter(help="amount of the staking asset")]
COLUMNS = ["account", "capabilities", "state", "bonded", "unbonding", "score", "actions"]


@keeper.command
def register(
    account: Account,
    capabilities: Annotated[
        list[str], Parameter(help="liquidate, trigger, ingest, crank, general", consume_multiple=True)
    ],
    *,
    stake: Amount,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Register a keeper with its stake (the account's owner)."""
    body = {"account": account, "capabilities": capabilities, "stake": stake}
    return show(Client(data).post("/keepers", body), json=json, title=f"Keeper {account} registered")


def _stake(account: str, verb: str, amount: str | None, data: DataDirectory, *, json: bool) -> int:
    answer = Client(data).post(f"/keepers/{verb}", {"account": account, "amount": amount})
    return show(answer, json=json, title=f"Stake of {account}: {verb}")


@keeper.command
def stake(account: Account, amount: Amount, *, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Add to the stake."""
    return _stake(account, "stake", amount, data, json=json)


@keeper.command
def unstake(
    account: Account, amount: Amount, *, data: DataDirectory = DEFAULT_DATA, json: Json = False
) -> int:
    """Begin to take stake out: seven days, slashable meanwhile."""
    return _stake(account, "unstake", amount, data, json=json)


@keeper.command
def withdraw(account: Account, *, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Take out what is unbonded."""
    return _stake(account, "withdraw", None, data, json=json)


@keeper.command
def act(
    account: Account,
    action: Annotated[str, Parameter(help="liquidate, trigger or crank")],
    *,
    market: Annotated[str | None, Parameter(help="market of the duty")] = None,
    target: Annotated[str | None, Parameter(help="account of the duty")] = None,
    target_sub: Annotated[int, Parameter(help="its sub-account")] = 0,
    order: Annotated[int, Parameter(help="order of the duty")] = 0,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Perform one duty."""
    body = {
        "account": account,
        "action": action,
        "market": market,
        "target": target,
        "target_sub": target_sub,
        "order": order,
    }
    return show(Client(data).post("/keepers/act", body), json=json, title=f"{account}: {action}")


@keeper.command
def remove(
    account: Account, *, actor: Actor = None, data: DataDirectory = DEFAULT_DATA, json: Json = False
) -> int:
    """Deauthorise a keeper at once (OPERATOR)."""
    answer = Client(data).post("/keepers/remove", {"keeper": account, "actor": actor})
    return show(answer, json=json, title=f"Keeper {account} removed")


@keeper.command
def reinstate(
    account: Account, *, actor: Actor = None, data: DataDirectory = DEFAULT_DATA, json: Json = False
) -> int:
    """Let a suspended keeper act again (OPERATOR)."""
    answer = Client(data).post("/keepers/reinstate", {"keeper": account, "actor": actor})
    return show(answer, json=json, title=f"Keeper {account} reinstated")


@keeper.command
def slash(
    account: Account,
    *,
    fault: Annotated[str, Parameter(help="false_execution, missed_duty, conflicting_signatures, malice")],
    evidence: Annotated[str, Parameter(help="what proves it; its hash enters the log")],
    ppm: Annotated[int, Parameter(help="part of the stake, at most 100000")],
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Sign a slash (OPERATOR); it takes effect after two signatures and seven days."""
    body = {"keeper": account, "fault": fault, "evidence": evidence, "ppm": ppm, "actor": actor}
    return show(Client(data).post("/keepers/slash", body), json=json, title=f"Slash of {account} signed")


@keeper.command
def appeal(
    number: Annotated[int, Parameter(help="number of the slash")],
    account: Account,
    *,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Appeal against a slash (the keeper)."""
    answer = Client(data).post(f"/slashes/{number}/appeal", {"account": account})
    return show(answer, json=json, title=f"Appeal against slash {number}")


@keeper.command
def decide(
    number: Annotated[int, Parameter(help="number of the slash")],
    *,
    uphold: Annotated[bool, Parameter(help="confirm the slash instead of reversing it")] = False,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Decide an appeal (ARBITER)."""
    answer = Client(data).post(f"/slashes/{number}/decide", {"uphold": uphold, "actor": actor})
    return show(answer, json=json, title=f"Slash {number} {'confirmed' if uphold else 'reversed'}")


@keeper.command(name="list")
def list_keepers(*, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Every keeper with stake and score."""
    rows = Client(data).get("/keepers")["keepers"]
    return show_rows(rows, COLUMNS, json=json, title="Keepers", empty="no keepers", name="keepers")


@keeper.command
def run(
    kind: Annotated[
        Literal["liquidation", "trigger", "funding"],
        Parameter(help="which work; prices: tradewind oracle run"),
    ],
    *,
    account: Annotated[str, Parameter(help="local identity of the keeper")] = "keeper-1",
    once: Annotated[bool, Parameter(negative="", help="one round, then leave")] = False,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Run a worker as a process of its own, beside a running platform.

    Start the platform with --no-keepers, or the worker inside of it holds the identity. A restarted
    platform is found again. Ends with exit 1 when the engine turns the keeper away (KEEPER_NOT_REGISTERED).
    """
    from tradewind.cli.working import run_keeper_worker

    return run_keeper_worker(kind, account, data, once=once, as_json=json)
