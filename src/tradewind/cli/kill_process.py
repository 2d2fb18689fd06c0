"""`tradewind-kill`: the kill switch as a process of its own, with next to nothing imported (T8.4).

    tradewind-kill "why"                                    the trader of a data directory
    tradewind-kill "why" --venue kraken --credentials FILE  an account at an outside venue, with its own key

It first writes the kill order, which forbids new risk to the next start, whatever happens then. A core that
answers halts and reads back; one that does not answer gets a signal; one that is dead is said to be dead, and
the log is restricted and read back without it. Exit 0 only when nothing is left.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tradewind.cli.exit_codes import ExitCode
from tradewind.trader.killing import order as kill_order

RUN_FILE: Final = "run.json"
TOKEN_FILE: Final = "api.token"  # noqa: S105 a file name
JOURNAL_FILE: Final = "kill.jsonl"
LOCK_FILE: Final = Path("journal") / "writer.lock"
LOOPBACK: Final = "127.0.0.1"
ANSWER_S: Final = 11.0
"""A core verifies within ten seconds; then it is too late to wait on."""
ROUND_S: Final = 0.1
AGAIN_S: Final = 0.5
DEADLINE_S: Final = 10.0
END_S: Final = 3.0
MAX_BYTES: Final = 1 << 20
HALT_SIGNAL: Final = signal.SIGUSR1


class Told:
    """What happened, line by line: into the kill journal of the data directory, and to the operator."""

    def __init__(self, data: Path, *, actor: str, reason: str, as_json: bool) -> None:
        self._path, self._as_json = data / JOURNAL_FILE, as_json
        self._common = {"actor": actor, "reason": reason, "pid": os.getpid()}
        self._began_s = time.monotonic()

    def say(self, step: str, text: str, **facts: Any) -> None:
        """One step. A disk that refuses the line is told, and stops nothing."""
        line = {"step": step, "after_s": round(time.monotonic() - self._began_s, 3), **facts, "text": text}
        try:
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.write(
                    handle, (json.dumps({"at_ns": time.time_ns(), **self._common, **line}) + "\n").encode()
                )
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            sys.stderr.write(f"the kill journal cannot be written: {error}\n")
        print(json.dumps(line) if self._as_json else f"{line['after_s']:7.3f} s  {text}", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs it, and leaves with its exit status."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """The exit status: 0 nothing is left, 1 not verified, 69 there is nothing here, 75 the key is in use."""
    options = _parser().parse_args(arguments)
    data: Path = options.data
    if not options.reason.strip():
        sys.stderr.write("NO_REASON: state a reason; it goes into the log\n")
        return ExitCode.CANNOT
    if options.check and not options.venue:
        sys.stderr.write("CHECK_NEEDS_VENUE: --check asks a venue about a key; state --venue\n")
        return ExitCode.CANNOT
    if not options.venue and not data.is_dir():
        sys.stderr.write(f"NOT_RUNNING: there is no {data}\n")
        return ExitCode.NOT_RUNNING
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    told = Told(data, actor=options.by, reason=options.reason, as_json=options.json)
    if options.check:
        return _at_venue(options, told)
    try:
        kill_order.write(data, actor=options.by, reason=options.reason)
        told.say("ordered", "the kill order stands: the next start begins halted")
    except OSError as error:
        told.say("order failed", f"the kill order could not be written ({error}); going on")
    if options.venue:
        return _at_venue(options, told)
    return _here(data, options, told)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tradewind-kill", description="The kill switch as a process of its own."
    )
    parser.add_argument("reason", help="why; it goes into the log")
    parser.add_argument("--by", default="operator", help="who acts; it goes into the log")
    parser.add_argument("--data", type=Path, default=Path("data"), help="data directory")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument("--wait-s", type=float, default=ANSWER_S, help="patience with a core that is silent")
    parser.add_argument("--end-core", action="store_true", help="kill -9 a core that does not react")
    parser.add_argument("--venue", choices=("kraken", "binance"), help="cancel at this venue instead")
    parser.add_argument("--credentials", type=Path, help="API_KEY and API_SECRET of the kill key (mode 0600)")
    parser.add_argument("--url", default="", help="another address than the venue's")
    parser.add_argument("--symbols", default="", help="the venue's names of markets, with commas")
    parser.add_argument("--keep", type=Path, help="heartbeat file: its protective orders stay")
    parser.add_argument("--check", action="store_true", help="only ask the venue what the key may do")
    return parser


# ---- the trader of a data directory ---------------------------------------------------------------------


def _here(data: Path, options: argparse.Namespace, told: Told) -> int:
    core = _core(data)
    if core is not None:
        answer = _asked_until_done(data, options, told)
        if answer is not None and answer.get("outcome") in ("verified", "no_effect"):
            kill_order.take_away(data)
            return _verified(told, answer, "the core has halted, and reads back no open order")
        if answer is None and _holds(core, data):
            _signalled(core, told)
            if options.end_core:
                _ended(core, data, told)
    if not (data / "journal").is_dir():
        told.say("nothing", "there is no log here: nothing can be open")
        return ExitCode.NOT_RUNNING
    return _offline(data, options, told)


def _asked_until_done(data: Path, options: argparse.Namespace, told: Told) -> dict[str, Any] | None:
    """Asks a core that answers again and again until it has verified, or the time is over."""
    deadline_s = time.monotonic() + DEADLINE_S
    while True:
        answer = _asked(data, options, told)
        if answer is None or answer or time.monotonic() >= deadline_s:
            return answer
        time.sleep(AGAIN_S)


def _core(data: Path) -> dict[str, Any] | None:
    """What the run file says of a running core."""
    try:
        found = json.loads((data / RUN_FILE).read_bytes()[:MAX_BYTES])
        return found if isinstance(found["pid"], int) and isinstance(found["port"], int) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _asked(data: Path, options: argparse.Namespace, told: Told) -> dict[str, Any] | None:
    """The answer of the core's API; None: there is none."""
    import http.client

    core = _core(data)
    if core is None:
        return None
    body = json.dumps({"reason": options.reason, "actor": options.by})
    connection = http.client.HTTPConnection(LOOPBACK, core["port"], timeout=options.wait_s)
    try:
        token = (data / TOKEN_FILE).read_text(encoding="ascii").strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request("POST", "/api/v1/kill/halt", body, headers)
        answer = connection.getresponse()
        found = json.loads(answer.read(MAX_BYTES))
    except ConnectionRefusedError:
        told.say("core dead", "nobody listens where the core said it would: it is dead", port=core["port"])
        return None
    except (OSError, ValueError, http.client.HTTPException) as error:
        told.say("core silent", f"the core does not answer: {type(error).__name__}", port=core["port"])
        return None
    finally:
        connection.close()
    document: dict[str, Any] = found if isinstance(found, dict) else {}
    result = document.get("result", document)
    if not isinstance(result, dict) or result.get("outcome") not in ("verified", "no_effect"):
        told.say("core failed", "the core answered, and the halt is not verified", answer=document)
        return {}
    return result


def _holds(core: dict[str, Any], data: Path) -> bool:
    """Whether the process of the run file is the one that has this log open; a number may be another's by
    now.
    """
    try:
        lock = (data / LOCK_FILE).stat()
        folder = Path(f"/proc/{core['pid']}/fd")
        for link in folder.iterdir():
            try:
                one = link.stat()
            except OSError:
                continue
            if (one.st_dev, one.st_ino) == (lock.st_dev, lock.st_ino):
                return True
    except OSError:
        return False
    return False


def _signalled(core: dict[str, Any], told: Told) -> None:
    """A core whose API is stuck may still take a signal."""
    try:
        os.kill(core["pid"], HALT_SIGNAL)
        told.say("signalled", f"process {core['pid']} was sent {HALT_SIGNAL.name}", pid=core["pid"])
    except OSError as error:
        told.say("signal failed", f"process {core['pid']}: {error}", pid=core["pid"])


def _ended(core: dict[str, Any], data: Path, told: Told) -> None:
    """kill -9, when the operator asked for it: its log is free then."""
    try:
        os.kill(core["pid"], signal.SIGKILL)
    except OSError as error:
        told.say("end failed", f"process {core['pid']}: {error}", pid=core["pid"])
        return
    deadline_s = time.monotonic() + END_S
    while _holds(core, data) and time.monotonic() < deadline_s:
        time.sleep(ROUND_S)
    told.say("core ended", f"process {core['pid']} was ended", pid=core["pid"])


def _offline(data: Path, options: argparse.Namespace, told: Told) -> int:
    """The halt on the log itself. This imports the engine, and only this does."""
    import asyncio

    told.say("log", "no core answers: the log itself is opened and restricted")
    try:
        from tradewind.api.identities import open_identities
        from tradewind.api.offline import halt
        from tradewind.observe.logs import configure_logs

        configure_logs(data)
        result = asyncio.run(halt(data, open_identities(data), reason=options.reason, actor=options.by))
    except Exception as error:  # noqa: BLE001 whatever it is, the operator has to know that nothing is verified
        text = f"not verified, {type(error).__name__}: {error}; the kill order stands"
        told.say("failed", text, left=None)
        return ExitCode.RED
    facts = {"orders_before": result.orders_before, "orders_after": result.orders_after}
    if not result.succeeded:
        told.say("not verified", "orders are left in the log", left=list(result.left), **facts)
        return ExitCode.RED
    return _verified(
        told, {"outcome": str(result.outcome), **facts}, "the log shows no open order, and is halted"
    )


def _verified(told: Told, answer: dict[str, Any], text: str) -> int:
    names = ("outcome", "orders_before", "orders_after", "first_cancel_ms", "duration_ms")
    facts = {name: answer.get(name) for name in names if name in answer}
    told.say("verified", text, **facts)
    return ExitCode.OK


# ---- an account at an outside venue ---------------------------------------------------------------------


def _at_venue(options: argparse.Namespace, told: Told) -> int:
    import asyncio

    from tradewind.venues.transport.credentials import CredentialsError, read_credentials

    if options.credentials is None:
        told.say("failed", "state --credentials with the kill key of this venue")
        return ExitCode.CONFIG
    try:
        pair = read_credentials(options.credentials)
    except CredentialsError as error:
        told.say("failed", f"{error.code}: {error}")
        return ExitCode.CONFIG
    return asyncio.run(_venue(options, pair.key, pair.secret, told))


async def _venue(options: argparse.Namespace, key: str, secret: str, told: Told) -> int:
    from tradewind.trader.killing.venue import VenueKill
    from tradewind.trader.watchdog.paths import open_path
    from tradewind.venues.transport.keys import KeyPurpose
    from tradewind.venues.transport.lease import KeyBusy

    try:
        async with open_path(
            options.venue, key, secret, data=options.data, url=options.url, purpose=KeyPurpose.KILL
        ) as path:
            if options.check:
                return _checked(await path.rights(), told)
            kept = _protective(options.keep)
            kill = VenueKill(
                path,
                keep=lambda one: one.client_id in kept,
                symbols=[one for one in options.symbols.split(",") if one],
                sweeps=options.keep is None,
            )
            result = await kill.run()
    except KeyBusy as busy:
        told.say("failed", f"another process uses this key: {busy}; the kill key has to be its own")
        return ExitCode.LOCKED
    except Exception as error:  # noqa: BLE001 nothing is verified, and that is what has to be said
        told.say("failed", f"{type(error).__name__}: {error}")
        return ExitCode.RED
    facts = {
        "venue": result.venue,
        "seen": result.seen,
        "left": list(result.left),
        "kept": list(result.kept),
        "first_cancel_s": result.first_cancel_s,
        "verified_s": result.verified_s,
    }
    if result.verified:
        told.say("verified", f"{result.venue} shows nothing that is left", **facts)
        return ExitCode.OK
    told.say("not verified", result.problem or f"{len(result.left)} orders are left", **facts)
    return ExitCode.RED


def _checked(rights: Any, told: Told) -> int:
    """A kill key has to cancel, and may not trade."""
    facts = {"cancels": rights.cancels, "trades": rights.trades}
    if rights.cancels is None or rights.trades is None:
        told.say("checked", "the venue did not say what this key may do", **facts)
        return ExitCode.RED
    if not rights.cancels or rights.trades:
        told.say("checked", "a kill key has to cancel and may not trade", **facts)
        return ExitCode.CONFIG
    told.say("checked", "this key cancels, and cannot trade", **facts)
    return ExitCode.OK


def _protective(heartbeat: Path | None) -> frozenset[str]:
    """Client ids that the core named as protective in its last beat. Raises `BadBeat`."""
    if heartbeat is None:
        return frozenset()
    from tradewind.trader.heartbeat import read_beat

    return frozenset(read_beat(heartbeat).protective)
