"""The `tradewind` command. Every verb group is a file of its own and is imported only when it is used."""

from __future__ import annotations

import os
import sys
import traceback

from cyclopts import App, CycloptsError

from tradewind.cli.exit_codes import MEANINGS, ExitCode
from tradewind.cli.failure import CommandFailure

# True in the process of the command itself, where `up` may fix the environment for good; not in tests.
whole_process = False
# Set to anything, it adds the trace of a defect of this program to its message.
TRACEBACK = "TRADEWIND_TRACEBACK"
# Verb → where it lives and what it is for. The text is here so that `--help` imports nothing.
RUN = "Run"
OPERATE = "Operate the exchange"
SAFETY = "Kill switch"
LOOK = "Log, readiness, numbers"
VERBS: dict[str, tuple[str, str, str]] = {
    "up": (
        "tradewind.cli.up:up",
        RUN,
        "Everything on this machine: node, feed, paper venue, trader, API, console.",
    ),
    "validate": (
        "tradewind.cli.validate:validate",
        RUN,
        "Preflight: executable checks; exit 0 only when all pass.",
    ),
    "paper": ("tradewind.cli.paper:paper", RUN, "Paper campaigns: start, status, report, stop."),
    "strategy": ("tradewind.cli.strategy:strategy", RUN, "Begin, list, show and check strategies."),
    "status": ("tradewind.cli.status:status", RUN, "What the running platform says of itself."),
    "market": (
        "tradewind.cli.market:market",
        OPERATE,
        "Create, show, update, pause, resume and close markets.",
    ),
    "collateral": (
        "tradewind.cli.collateral:collateral",
        OPERATE,
        "Assets, deposits, withdrawals, transfers, balances.",
    ),
    "account": ("tradewind.cli.account:account", OPERATE, "Open and list accounts."),
    "order": ("tradewind.cli.order:order", OPERATE, "Place, replace, cancel and list orders."),
    "execute": (
        "tradewind.cli.execution:execute",
        OPERATE,
        "Parent orders worked over time: TWAP, VWAP, participation, iceberg, passive.",
    ),
    "set": ("tradewind.cli.sets:sets", OPERATE, "Complete sets of outcome markets: mint, merge, claims."),
    "pool": ("tradewind.cli.pool:pool", OPERATE, "Market makers: create, quote, swap, liquidity."),
    "distribution": (
        "tradewind.cli.distribution:distribution",
        OPERATE,
        "Markets of a number: create, quote, move.",
    ),
    "position": ("tradewind.cli.position:position", OPERATE, "List, health, simulate, close, margin."),
    "oracle": ("tradewind.cli.oracle:oracle", OPERATE, "Feeds: sources, prices, states, overrides."),
    "keeper": ("tradewind.cli.keeper:keeper", OPERATE, "Keepers: stake, duties, slashing, workers."),
    "token": ("tradewind.cli.token:token", OPERATE, "The token: supply, stakes, rewards, vesting, seasons."),
    "vault": ("tradewind.cli.vault:vault", OPERATE, "The vault: deposit, withdraw, claim, coverage."),
    "dark": ("tradewind.cli.dark:dark", OPERATE, "Orders that cross unseen at the midpoint."),
    "fee": ("tradewind.cli.vault:fee", OPERATE, "The elastic fee, and its curve as a picture."),
    "proposal": ("tradewind.cli.proposal:proposal", OPERATE, "Governed changes: propose, approve, execute."),
    "resolve": (
        "tradewind.cli.resolve:resolve",
        OPERATE,
        "Outcome markets: propose, vote, finalise and show what they pay.",
    ),
    "dispute": ("tradewind.cli.resolve:dispute", OPERATE, "Dispute a proposed payout, with a bond."),
    "redeem": ("tradewind.cli.resolve:redeem", OPERATE, "Redeem claims on a settled market."),
    "chain": ("tradewind.cli.chain:chain", OPERATE, "Up to three linked steps at once: quote, open, close."),
    "credit": ("tradewind.cli.credit:credit", OPERATE, "Verse credits: deposit, lock, release, withdraw."),
    "verse": ("tradewind.cli.verse:verse", OPERATE, "Groups of markets: create, move, link, show."),
    "role": ("tradewind.cli.role:role", OPERATE, "Grant, revoke, suspend, reinstate, list."),
    "keys": ("tradewind.cli.keys:keys", OPERATE, "Venue keys: list, reseed nonces, migrate their unit."),
    "venue": ("tradewind.cli.venue:venue", OPERATE, "Status, symbols and balances of a venue."),
    "data": ("tradewind.cli.data:data", OPERATE, "Record public streams; fetch public history; check it."),
    "backtest": (
        "tradewind.cli.backtest:backtest",
        RUN,
        "A strategy over recorded data: honest results, and sweeps of parameters.",
    ),
    "halt": (
        "tradewind.cli.kill:halt",
        SAFETY,
        "No new risk, cancel every working order, keep positions; verified.",
    ),
    "flatten": ("tradewind.cli.kill:flatten", SAFETY, "Halt, then reduce positions to zero; verified."),
    "resume": ("tradewind.cli.kill:resume", SAFETY, "Leave the halt, with a reason."),
    "failsafe": (
        "tradewind.cli.failsafe:failsafe",
        SAFETY,
        "Back to paper: takes the signing capability away from every trading key.",
    ),
    "ramp": (
        "tradewind.cli.ramp:ramp",
        SAFETY,
        "Stages from paper to live: status, propose, approve, demote.",
    ),
    "risk": (
        "tradewind.cli.risk:risk",
        SAFETY,
        "Limits, why an order was refused, trading states and their resets.",
    ),
    "watchdog": (
        "tradewind.cli.watchdog:watchdog",
        SAFETY,
        "A process of its own: cancels at the venue when the trading core is silent.",
    ),
    "journal": (
        "tradewind.cli.journal:journal",
        LOOK,
        "The log: verify, tail, export, prove, snapshot, replay.",
    ),
    "record": ("tradewind.cli.record:record", LOOK, "The 520-byte records of outcome markets."),
    "ready": ("tradewind.cli.ready:ready", LOOK, "The gate: every readiness criterion with its evidence."),
    "evidence": ("tradewind.cli.ready:evidence", LOOK, "Measure criteria, and look at the signed records."),
    "bench": ("tradewind.cli.bench:bench", LOOK, "The numbers of the README."),
    "tca": ("tradewind.cli.tca:tca", LOOK, "What orders cost, and why: shortfall by part, with plots."),
    "amm": ("tradewind.cli.amm:amm", LOOK, "Market makers: quotes and pictures."),
    "lab": ("tradewind.cli.lab:lab", LOOK, "Market scenarios on an engine in memory, with plots."),
}
EPILOGUE = "Exit status: " + "; ".join(f"{code.value} {text}" for code, text in MEANINGS.items()) + "."


def build_app() -> App:
    """The command tree, with nothing imported yet."""
    from tradewind import __version__

    app = App(
        name="tradewind",
        help="A trading platform whose log is the product and whose readiness is executable.",
        help_epilogue=EPILOGUE,
        version=__version__,
        result_action="return_value",
    )
    for name, (place, group, text) in VERBS.items():
        app.command(place, name=name, group=group, help=text)
    return app


def run(arguments: list[str]) -> int:
    """The exit status of one command; every expected failure becomes one message."""
    try:
        answer = build_app()(arguments, exit_on_error=False, print_error=True)
    except CycloptsError:
        return ExitCode.CANNOT
    except CommandFailure as failure:
        return _report(failure, arguments)
    except BrokenPipeError:
        # The reader of our output went away (for example `| head`); there is nobody left to tell.
        sys.stderr.close()
        return ExitCode.OK
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 an operator gets one message, whatever went wrong
        return _report(_translate(error), arguments)
    return int(answer) if isinstance(answer, int) else ExitCode.OK


def _translate(error: Exception) -> CommandFailure:
    """Failures of the lower parts as failures of the command; a programming error is named with its place."""
    from tradewind.cli.translate import translate, unexpected

    failure = translate(error)
    if failure is None:
        failure = unexpected(error)
        if os.environ.get(TRACEBACK):
            sys.stderr.write("".join(traceback.format_exception(error)))
    return failure


def _report(failure: CommandFailure, arguments: list[str]) -> int:
    if "--json" in arguments:
        from tradewind.cli.output import print_json

        print_json({"error": failure.as_dict()})
        return failure.exit_code
    sys.stderr.write(f"{failure.code}: {failure.message}\n")
    for key, value in failure.details.items():
        if key in ("status", "retryable"):
            continue
        lines = value if isinstance(value, list | tuple) else [value]
        for line in lines:
            sys.stderr.write(f"  {key}: {line}\n")
    return failure.exit_code
