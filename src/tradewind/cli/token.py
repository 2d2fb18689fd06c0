"""`tradewind token`: supply, stakes, rewards, vesting, seasons."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from tradewind.cli.answers import show, show_rows
from tradewind.cli.client import Client
from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.options import Account, Actor
from tradewind.cli.output import DEFAULT_DATA, DataDirectory, Json

token = App(name="token", help="The platform's token: supply, stakes, rewards, vesting, seasons.")
vest = App(name="vest", help="Locked tokens: schedules, claims, allocations, revocations.")
season = App(name="season", help="Seasons: open and settle.")
token.command(vest)
token.command(season)
Amount = Annotated[str, Parameter(help="amount of the token")]
Propose = Annotated[bool, Parameter(negative="", help="make it a proposal that others approve")]
Number = Annotated[int, Parameter(help="number of the schedule")]
POOL_COLUMNS = ["pool", "size", "cliff_days", "length_days", "vested", "allocated", "claimed", "revocable"]
LOT_COLUMNS = ["lot", "amount", "weight", "lock_days", "locked", "pending"]
REWARD_COLUMNS = ["account", "book", "uptime", "mean_depth", "volume", "by_score", "by_volume", "fund"]
SCHEDULE_COLUMNS = ["schedule", "account", "pool", "amount", "vested", "claimed", "claimable", "state"]


@token.command(name="show")
def show_token(
    account: Annotated[str | None, Parameter(help="its stakes instead of the supply")] = None,
    *,
    plot: Annotated[
        Path | None, Parameter(help="draw the vesting table and a season's emission into this PNG instead")
    ] = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Where the supply is, or the stakes of an account and what waits for them."""
    if plot is not None:
        from tradewind.lab.scenarios.report import PlotMissing
        from tradewind.lab.token_plot import draw

        try:
            draw(plot)
        except PlotMissing as error:
            raise CommandFailure(ExitCode.CANNOT, "PLOT_MISSING", str(error)) from error
        return show({"plot": str(plot)}, json=json, title="Vesting and emission")
    client = Client(data)
    if account is not None:
        document = client.get(f"/accounts/{account}/stakes")
        if json:
            return show(document, json=True, title="")
        rows = [{**row, "pending": _pending(row["pending"])} for row in document["stakes"]]
        title = f"{document['account']} has staked {document['staked']} ({document['tier']}: " + (
            f"{document['fee_discount_bp']} bp off the fee, rate class {document['rate_class']})"
        )
        return show_rows(rows, LOT_COLUMNS, json=False, title=title, empty="no stakes", name="stakes")
    document = client.get("/token")
    if json or not document["issued"]:
        return show(document, json=json, title="No token is issued")
    plain = {name: value for name, value in document.items() if not isinstance(value, list)}
    show(plain, json=False, title=f"Token {document['asset']}")
    return show_rows(
        document["pools"], POOL_COLUMNS, json=False, title="Pools", empty="no pools", name="pools"
    )


def _pending(amounts: dict[str, str]) -> str:
    return ", ".join(f"{amount} {asset}" for asset, amount in amounts.items()) or "-"


@token.command
def stake(
    account: Account,
    amount: Amount,
    *,
    lock_days: Annotated[int, Parameter(help="0, 30 (weight 1.25) or 90 (weight 1.5)")] = 0,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Stake tokens: at least 100, each stake is a lot of its own."""
    body = {"account": account, "amount": amount, "lock_days": lock_days}
    return show(Client(data).post("/token/stake", body), json=json, title=f"{account} has staked {amount}")


@token.command
def unstake(
    account: Account,
    lot: Annotated[int, Parameter(help="number of the lot")],
    *,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Take a stake back whose lock is over; what waits for it is paid out."""
    answer = Client(data).post("/token/unstake", {"account": account, "lot": lot})
    return show(answer, json=json, title=f"Lot {lot} of {account} is unstaked")


@token.command
def claim(
    account: Account,
    *,
    lot: Annotated[int, Parameter(help="one lot instead of all")] = 0,
    of: Annotated[Literal["stakes", "makers", "bootstrap"], Parameter(help="what earned it")] = "stakes",
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Take the rewards of stakes, of making, or of early deposits into the vault."""
    if of != "stakes":
        if lot:
            raise CommandFailure(ExitCode.CANNOT, "PARAMETER_OUT_OF_BOUNDS", "only stakes have lots")
        route = "/token/rewards/claim" if of == "makers" else "/token/bootstrap/claim"
        answer = Client(data).post(route, {"account": account})
        return show(answer, json=json, title=f"Rewards of {account} claimed")
    answer = Client(data).post("/token/claim", {"account": account, "lot": lot})
    return show(answer, json=json, title=f"Rewards of {account} claimed")


@token.command
def rewards(
    account: Annotated[
        str | None, Parameter(help="what it may claim instead of everybody's last hour")
    ] = None,
    *,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """What makers have earned: by account and book for the last hour, or what an account may claim."""
    client = Client(data)
    if account is not None:
        document = client.get(f"/accounts/{account}/rewards")
        title = f"{document['account']} may claim {_pending(document['claimable'])}"
        if bootstrap := document["bootstrap"]:
            title += f"; bootstrap reward {bootstrap['share']}, claimed {bootstrap['claimed']}"
        rows = document["hour"]
    else:
        document = client.get("/token/rewards")
        hour = document["hour"]
        books = ", ".join(document["books"]) or "no books"
        title = f"Rewarded: {books}" + (f"; the last hour gave at most {hour['budget']}" if hour else "")
        rows = hour["makers"] if hour else []
    if json:
        return show(document, json=True, title="")
    return show_rows(rows, REWARD_COLUMNS, json=False, title=title, empty=title, name="makers")


@token.command
def launch(
    account: Account,
    amount: Amount = "100",
    *,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Give tokens of the launch distribution to an identity: at most 100, once (TREASURER)."""
    body = {"account": account, "amount": amount, "actor": actor}
    return show(Client(data).post("/token/launch", body), json=json, title=f"{amount} granted to {account}")


@token.command
def reward(
    market: Annotated[str, Parameter(help="market whose makers a season rewards")],
    *,
    outcome: Annotated[int, Parameter(help="number of the outcome, of three or more")] = 0,
    stop: Annotated[bool, Parameter(negative="", help="take it off the list")] = False,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Put a book on the list of those whose makers are rewarded (OPERATOR)."""
    body = {"market": market, "outcome": outcome, "rewarded": not stop, "actor": actor}
    title = f"Makers of {market} are {'no longer ' if stop else ''}rewarded"
    return show(Client(data).post("/token/rewards/books", body), json=json, title=title)


@vest.command(name="list")
def list_schedules(*, data: DataDirectory = DEFAULT_DATA, json: Json = False) -> int:
    """Every vesting schedule."""
    rows = Client(data).get("/token/vesting")["schedules"]
    return show_rows(
        rows, SCHEDULE_COLUMNS, json=json, title="Vesting", empty="no schedules", name="schedules"
    )


@vest.command(name="claim")
def claim_vested(
    account: Account, schedule: Number, *, data: DataDirectory = DEFAULT_DATA, json: Json = False
) -> int:
    """Take what has vested (the beneficiary)."""
    answer = Client(data).post("/token/vesting/claim", {"account": account, "schedule": schedule})
    return show(answer, json=json, title=f"Schedule {schedule}: claimed")


@vest.command
def allocate(
    account: Account,
    pool: Annotated[str, Parameter(help="team, advisors, strategic, ecosystem, reserve")],
    amount: Amount,
    *,
    start: Annotated[int | None, Parameter(help="start in Unix seconds instead of now")] = None,
    propose: Propose = False,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Give locked tokens of a pool (TREASURER before the first season, then a proposal)."""
    body = {
        "account": account,
        "pool": pool,
        "amount": amount,
        "start_s": start,
        "propose": propose,
        "actor": actor,
    }
    done = "proposed" if propose else "allocated"
    return show(Client(data).post("/token/vesting", body), json=json, title=f"{amount} of {pool} {done}")


@vest.command
def revoke(
    schedule: Number,
    *,
    propose: Propose = False,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """End a schedule; what has vested stays. Only a proposal can do it."""
    body = {"schedule": schedule, "propose": propose, "actor": actor}
    answer = Client(data).post("/token/vesting/revoke", body)
    return show(answer, json=json, title=f"Revocation of schedule {schedule} proposed")


@season.command(name="open")
def open_season(
    number: Annotated[int, Parameter(help="number of the season")],
    budget: Amount,
    *,
    propose: Propose = False,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Open the next season: 180 days (TREASURER for the first, then a proposal)."""
    body = {"season": number, "budget": budget, "propose": propose, "actor": actor}
    title = f"Season {number} is {'proposed' if propose else 'open'}"
    return show(Client(data).post("/token/seasons", body), json=json, title=title)


@season.command
def settle(
    number: Annotated[int, Parameter(help="number of the season")],
    *,
    actor: Actor = None,
    data: DataDirectory = DEFAULT_DATA,
    json: Json = False,
) -> int:
    """Settle a season whose time is over; its rest goes back to the ecosystem pool (SYSTEM)."""
    answer = Client(data).post("/token/seasons/settle", {"season": number, "actor": actor})
    return show(answer, json=json, title=f"Season {number} is settled")
