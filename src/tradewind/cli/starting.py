"""One run of the platform: configuration, server, signals, end."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tradewind.cli.client import RUN_FILE
from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.output import note, print_json
from tradewind.config import (
    EFFECTIVE_CONFIG,
    LOOPBACK,
    ConfigurationRefused,
    UpConfiguration,
    check,
    check_environment,
    parse_cash,
    parse_duration_s,
    parse_speed,
    write_effective,
)

if TYPE_CHECKING:
    from tradewind.api.platform import Platform, StopReport
    from tradewind.api.token import Tokens

LISTEN_BACKLOG: Final = 128
GRACE_S: Final = 1
DIRECTORY_MODE: Final = 0o700


def configure(
    *,
    duration: str | None,
    cash: Sequence[str] | None,
    default_cash: Sequence[str],
    speed: float,
    **fields: Any,
) -> UpConfiguration:
    """The checked configuration of this start. Raises `ConfigurationRefused`."""
    data: Path = fields["data"]
    stored = _stored_cash(data)
    given = None if cash is None else parse_cash(cash)
    if stored is not None and given is not None and stored != given:
        message = (
            f"{data} was started with {_cash_text(stored)}; add funds with: tradewind collateral deposit"
        )
        raise ConfigurationRefused("CONFIG_CONFLICT", message)
    configuration = UpConfiguration(
        cash=stored or given or parse_cash(default_cash),
        speed=parse_speed(speed),
        for_s=None if duration is None else parse_duration_s(duration),
        **fields,
    )
    check_environment(configuration)
    checked = check(configuration)
    if checked.trader is not None:
        return dataclasses.replace(checked, symbol=_first_symbol(checked.trader, checked))
    return checked


def _first_symbol(path: Path, one: UpConfiguration) -> str:
    """The first symbol of a trader file, once all that it says is checked, before anything is opened.

    Raises `ConfigurationRefused` with every cause.
    """
    from tradewind.trader.risk.profile import ConfigError, load_profile
    from tradewind.trader.trader_file import TraderFileRefused, check_trader_file

    try:
        return check_trader_file(path, one.env, load_profile(one.profile)).symbols[0]
    except TraderFileRefused as error:
        message = f"{path} is refused, {len(error.causes)} causes: {'; '.join(error.causes)}"
        raise ConfigurationRefused("BAD_TRADER_FILE", message, error.causes) from error
    except ConfigError as error:
        raise ConfigurationRefused("BAD_PROFILE", str(error)) from error


def _stored_cash(data: Path) -> Any:
    """Starting funds of an installation that exists, None before its first start."""
    try:
        lines = json.loads((data / EFFECTIVE_CONFIG).read_bytes())["cash"]
        return parse_cash([f"{amount} {asset}" for asset, amount in lines.items()])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationRefused(
            "CONFIG_DAMAGED", f"{data / EFFECTIVE_CONFIG} is not readable: {error}"
        ) from error


def _cash_text(cash: Any) -> str:
    return ", ".join(f"{amount} {asset}" for asset, amount in cash.items())


def run(configuration: UpConfiguration, *, as_json: bool) -> int:
    """Serves until stopped; the exit status."""
    import uvloop

    from tradewind.cli import program
    from tradewind.security.capability import declare

    if program.whole_process:
        # From here on nothing that signs can be loaded into this process (trading T1.11).
        declare(configuration.env)
    return uvloop.run(_Run(configuration, as_json).main())


class _Stop:
    """Counts the requests to stop: the first is orderly, the second direct, the third immediate (T8.7)."""

    def __init__(self) -> None:
        self.requests = 0
        self.first = asyncio.Event()
        self.second = asyncio.Event()

    def request(self) -> None:
        """One more signal."""
        self.requests += 1
        self.first.set()
        if self.requests == 2:
            note("second interrupt: cancelling directly")
            self.second.set()
        elif self.requests > 2:
            note("third interrupt: leaving at once; the venue's timers stay armed and cancel what is left")
            os._exit(ExitCode.INTERRUPTED)


class _Run:
    """One process."""

    def __init__(self, configuration: UpConfiguration, as_json: bool) -> None:
        self.configuration = configuration
        self.as_json = as_json
        self.stop = _Stop()
        self.started_s = time.monotonic()

    async def main(self) -> int:
        """Open, serve, trade, stop. Raises what forbids the start."""
        from tradewind.api.identities import open_identities
        from tradewind.api.platform import Platform
        from tradewind.api.token import open_tokens
        from tradewind.observe.logs import configure_logs

        one = self.configuration
        one.data.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        configure_logs(one.data)
        tokens = open_tokens(one.data)
        platform = await Platform.open(one, open_identities(one.data))
        try:
            sock = bind(one.port)
        except BaseException:
            if platform.safety is not None:
                await platform.safety.close()
            await platform.node.close()
            raise
        self._catch_signals(platform)
        write_effective(one.data, one)
        async with self._serving(platform, sock, tokens):
            try:
                failure = await self._trade_until_stopped(platform)
            finally:
                report = await self._stop(platform)
        self._say_goodbye(platform, report)
        if failure is not None:
            raise failure
        return ExitCode.OK if report.clean else ExitCode.UNFINISHED

    def _catch_signals(self, platform: Platform) -> None:
        from tradewind.cli.kill_signals import KillSignals

        loop = asyncio.get_running_loop()
        tell = (lambda _: None) if self.as_json else note
        KillSignals(lambda: platform.kill, self.configuration.data, tell).install(loop)
        if platform.safety is not None:
            from tradewind.cli.ramp import evidence_aside

            platform.safety.on_stop_wanted = self.stop.request
            one_run = self.configuration
            platform.safety.ramp.evidence = lambda: evidence_aside(one_run.env, one_run.data)
        for one in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(one, self.stop.request)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    @contextlib.asynccontextmanager
    async def _serving(self, platform: Platform, sock: socket.socket, tokens: Tokens) -> AsyncIterator[None]:
        """The HTTP server on `sock`, with its run file for the other verbs."""
        from tradewind.cli.serving import Server

        port = sock.getsockname()[1]
        server = Server(platform, tokens)
        run_file = self.configuration.data / RUN_FILE
        await server.start(sock)
        content = {
            "pid": os.getpid(),
            "port": port,
            "url": f"http://localhost:{port}",
            "env": platform.configuration.env,
        }
        _write_atomically(run_file, json.dumps(content))
        self._say_hello(platform, port)
        try:
            yield
        finally:
            run_file.unlink(missing_ok=True)
            await server.stop()

    async def _trade_until_stopped(self, platform: Platform) -> Exception | None:
        """None after a stop; what went wrong when trading could not begin."""
        starting = asyncio.create_task(platform.start_trading())
        stopped = asyncio.create_task(self.stop.first.wait())
        await asyncio.wait([starting, stopped], return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return None
        error = starting.exception()
        if error is not None:
            stopped.cancel()
            if not isinstance(error, Exception):
                raise error
            return error
        self._say_market(platform)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped, self._remaining_s())
        return None

    def _remaining_s(self) -> float | None:
        if self.configuration.for_s is None:
            return None
        return max(0.0, self.configuration.for_s - (time.monotonic() - self.started_s))

    async def _stop(self, platform: Platform) -> StopReport:
        """Orderly; on a second signal directly."""
        if not self.as_json:
            note("stopping: no new risk, cancelling own orders, closing the journal")
        orderly = asyncio.create_task(platform.stop())
        second = asyncio.create_task(self.stop.second.wait())
        await asyncio.wait([orderly, second], return_when=asyncio.FIRST_COMPLETED)
        if not orderly.done():
            orderly.cancel()
            await asyncio.gather(orderly, return_exceptions=True)
            report = await platform.stop(direct=True)
            report.clean = False
            return report
        second.cancel()
        return orderly.result()

    # ---- what people see ---------------------------------------------------------------------------

    def _say_hello(self, platform: Platform, port: int) -> None:
        from tradewind.cli.banner import hello

        if not self.as_json:
            hello(platform, port, time.monotonic() - self.started_s)
        else:
            print_json(
                {"event": "serving", "url": f"http://localhost:{port}", "port": port, "pid": os.getpid()}
            )
            sys.stdout.flush()

    def _say_market(self, platform: Platform) -> None:
        from tradewind.cli.banner import market

        if not self.as_json:
            market(platform)
        else:
            print_json({"event": "trading", "feed": platform.feed_label, "symbol": self.configuration.symbol})
            sys.stdout.flush()

    def _say_goodbye(self, platform: Platform, report: StopReport) -> None:
        from tradewind.cli.banner import goodbye, summary

        if self.as_json:
            print_json({"event": "stopped", **summary(platform, report)})
        else:
            goodbye(platform, report)


def bind(port: int) -> socket.socket:
    """A listening socket on the loopback interface. Raises `CommandFailure` PORT_IN_USE."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((LOOPBACK, port))
        sock.listen(LISTEN_BACKLOG)
    except OSError as error:
        sock.close()
        code = "PORT_IN_USE" if error.errno == errno.EADDRINUSE else "PORT_REFUSED"
        message = f"port {port} on {LOOPBACK}: {os.strerror(error.errno or 0)}; choose another with --port"
        raise CommandFailure(ExitCode.CANNOT, code, message) from error
    sock.setblocking(False)
    return sock


def _write_atomically(path: Path, text: str) -> None:
    fresh = path.with_suffix(".tmp")
    fresh.write_text(text, encoding="utf-8")
    os.replace(fresh, path)
