"""One life of a campaign: the platform as `up` runs it, with the campaign's runner beside it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tradewind.cli.exit_codes import ExitCode
from tradewind.cli.failure import CommandFailure
from tradewind.cli.output import note, print_json
from tradewind.cli.starting import _Run, configure  # the same run, not a second one
from tradewind.config import ConfigurationRefused, UpConfiguration
from tradewind.trader.campaign import folder as campaigns
from tradewind.trader.campaign.clocks import process_started_ticks
from tradewind.trader.campaign.state import MAX_HOURS, CampaignRefused, Identity, Provenance, load

if TYPE_CHECKING:
    from tradewind.api.campaign import CampaignRunner
    from tradewind.api.platform import Platform, StopReport

DEFAULT_HOURS: Final = 120.0
DEFAULT_CASH: Final = ("10000 USDT",)
MIN_HOURS: Final = 0.001
DETACH_WAIT_S: Final = 60.0
PID_FILE: Final = "campaign.pid"
OUTPUT_FILE: Final = "campaign.out"
MAX_OUTPUT_BYTES: Final = 8 << 20
TELL_EVERY_S: Final = 600.0
REPORT_DEADLINE_S: Final = 1_800.0
START: Final = "from tradewind.cli import main; main()"
LOW: Final = "import os; os.nice(10); "
UNHASHED: Final = ("data", "port", "host", "duration")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for; None = not given."""

    hours: float | None = None
    data: Path = Path("data")
    feed: str | None = None
    replay: tuple[Path, ...] | None = None
    venue: str | None = None
    symbol: str | None = None
    strategy: str | None = None
    parameters: str | None = None
    trader: Path | None = None
    profile: str | None = None
    cash: tuple[str, ...] | None = None
    seed: int | None = None
    speed: float | None = None
    compressed: bool = False
    port: int | None = None


class FileOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration file of a campaign. Unknown names refuse."""

    hours: float | None = None
    feed: str | None = None
    replay: list[str] | None = None
    venue: str | None = None
    symbol: str | None = None
    strategy: str | None = None
    parameters: str | None = None
    trader: str | None = None
    profile: str | None = None
    cash: list[str] | None = None
    seed: int | None = None
    speed: float | None = None
    compressed: bool | None = None
    port: int | None = None


DEFAULTS: Final[Mapping[str, Any]] = {
    "hours": DEFAULT_HOURS,
    "feed": "auto",
    "venue": "binance",
    "symbol": "BTC/USDT",
    "strategy": "market_maker",
    "parameters": "demonstration",
    "profile": "paper",
    "seed": 20_240_808,
    "speed": 1.0,
    "port": 8000,
}


def effective(options: Options, config: Path | None) -> dict[str, Any]:
    """Options, file and defaults as one. Raises `ConfigurationRefused` naming everything that contradicts."""
    given = {name: getattr(options, name) for name in Options.__struct_fields__ if name != "data"}
    given["compressed"] = options.compressed or None
    stated = {} if config is None else _read_file(config)
    conflicts = [
        f"{name}: {given[name]} on the command line, {value} in {config}"
        for name, value in stated.items()
        if value is not None and given.get(name) is not None and given[name] != value
    ]
    if conflicts:
        raise ConfigurationRefused("CONFIG_CONFLICT", "file and command line differ", conflicts)
    chosen = {
        name: next((one for one in (given[name], stated.get(name)) if one is not None), DEFAULTS.get(name))
        for name in given
    }
    if chosen["compressed"] and (options.speed is not None or stated.get("speed") is not None):
        raise ConfigurationRefused("CONFIG_CONFLICT", "--compressed takes no --speed")
    if not isinstance(chosen["hours"], int | float) or not MIN_HOURS <= chosen["hours"] <= MAX_HOURS:
        raise ConfigurationRefused(
            "BAD_DURATION", f"{chosen['hours']} h is not from {MIN_HOURS} to {MAX_HOURS:g} hours"
        )
    return chosen


def _read_file(path: Path) -> dict[str, Any]:
    try:
        content = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), FileOptions)
    except OSError as error:
        raise ConfigurationRefused("CONFIG_UNREADABLE", f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise ConfigurationRefused("CONFIG_UNREADABLE", f"{path}: {error}") from error
    values = {name: getattr(content, name) for name in FileOptions.__struct_fields__}
    if values["replay"] is not None:
        values["replay"] = tuple(Path(one) for one in values["replay"])
    if values["trader"] is not None:
        values["trader"] = Path(values["trader"])
    if values["cash"] is not None:
        values["cash"] = tuple(values["cash"])
    return values


def start_campaign(
    options: Options, *, config: Path | None, reports: Path, detach: bool, as_json: bool
) -> int:
    """Runs a life of a campaign, here or in the background; the exit status."""
    chosen = effective(options, config)
    _refuse_second(options.data)
    if detach:
        return _detach(options.data, as_json=as_json)
    compressed = bool(chosen["compressed"])
    speed = 0.0 if compressed else float(chosen["speed"])
    replay = chosen["replay"] or ()
    configuration = configure(
        env="sim" if compressed or speed != 1.0 else "paper",
        data=options.data,
        port=chosen["port"],
        feed=chosen["feed"],
        replay=replay,
        loop=bool(replay),
        venue=chosen["venue"],
        speed=speed,
        duration=None,
        candidate=False,
        cash=chosen["cash"],
        default_cash=DEFAULT_CASH,
        symbol=chosen["symbol"],
        strategy=chosen["strategy"],
        parameters=chosen["parameters"],
        profile=chosen["profile"],
        trader=chosen["trader"],
        seed=chosen["seed"],
        keepers=True,
        exchange_demo=False,
        catalogue="",
    )
    return _run(configuration, float(chosen["hours"]), reports, as_json=as_json)


def _run(configuration: UpConfiguration, hours: float, reports: Path, *, as_json: bool) -> int:
    import uvloop

    from tradewind.cli import program
    from tradewind.security.capability import declare

    if program.whole_process:
        declare(configuration.env)
    run = CampaignRun(configuration, hours, reports, as_json)
    status: int = uvloop.run(run.main())
    return run.finish(status)


class CampaignRun(_Run):
    """The platform's run, with a campaign in it."""

    def __init__(self, configuration: UpConfiguration, hours: float, reports: Path, as_json: bool) -> None:
        super().__init__(configuration, as_json)
        self.hours, self.reports = hours, reports
        self.runner: CampaignRunner | None = None
        self._task: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None

    def _say_market(self, platform: Platform) -> None:
        """Trading has begun, and so does this life of the campaign."""
        super()._say_market(platform)
        self._begin(platform)

    def _begin(self, platform: Platform) -> None:
        from tradewind.api.campaign import CampaignRunner

        data = self.configuration.data
        now_ns = time.time_ns()
        identity = self._identity(platform, now_ns)
        folder, state = campaigns.open_or_create(data, identity, now_ns)
        self.runner = CampaignRunner(platform, folder, state, on_day=self._report_day)
        self.runner.begin()
        life = state.lives[-1]
        content = {"pid": life.pid, "started_ticks": life.started_ticks, "campaign": state.identity.name}
        (data / PID_FILE).write_text(json.dumps(content), encoding="utf-8")
        self._task = asyncio.create_task(self.runner.run(), name="campaign")
        self._task.add_done_callback(self._done)
        self._telling = asyncio.create_task(self._tell(), name="campaign-progress")

    def _identity(self, platform: Platform, now_ns: int) -> Identity:
        from tradewind.readiness.hashing import hash_bytes
        from tradewind.readiness.identity import current_identity
        from tradewind.readiness.machine import describe_machine

        one = self.configuration
        content = {key: value for key, value in one.as_dict().items() if key not in UNHASHED}
        config_hash = hash_bytes(json.dumps(content, sort_keys=True).encode())
        profile = platform.trader.profile if platform.trader is not None else None
        return Identity(
            name=campaigns.new_name(now_ns, config_hash),
            hours=self.hours,
            provenance=provenance_of(one, platform.feed_label),
            environment=one.env,
            feed=platform.feed_label,
            symbol=one.symbol,
            strategy=f"{one.strategy} ({one.parameters})" if one.trader is None else one.trader.name,
            profile=one.profile,
            currency="" if profile is None else profile.account.currency,
            config_hash=config_hash,
            build=current_identity(one.env, one.data).build_hash,
            host_hash=describe_machine(one.data).hostname_hash,
            command=f"tradewind paper start --hours {self.hours:g}",
        )

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self._failure = task.exception()
        self.stop.first.set()

    async def _stop(self, platform: Platform) -> StopReport:
        """The campaign ends with the platform, and hears what its stop told last."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        report = await super()._stop(platform)
        if self.runner is not None:
            if self._failure is not None:
                text = f"{type(self._failure).__name__}: {self._failure}"
                self.runner.state.problem(text)
                await self.runner.close("failed", text)
            elif self.runner.reached:
                await self.runner.close("finished")
            else:
                await self.runner.close("stopped", "asked to stop")
            (self.configuration.data / PID_FILE).unlink(missing_ok=True)
        return report

    # ---- days and the end --------------------------------------------------------------------------

    async def _report_day(self, day: int) -> list[str]:
        """The report in a process of its own: its memory is not the trader's."""
        del day
        assert self.runner is not None
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", LOW + START, "paper", "report", "--data", str(self.configuration.data),
            "--campaign", self.runner.state.identity.name, "--reports", str(self.reports), "--json",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            async with asyncio.timeout(REPORT_DEADLINE_S):
                out, _ = await child.communicate()
        except BaseException:
            child.kill()
            await child.wait()
            raise
        document = json.loads(out)
        if "red" not in document:
            raise RuntimeError(str(document.get("error", document))[:300])
        return [str(one) for one in document["red"]]

    def finish(self, status: int) -> int:
        """The report at the end, and what people read last."""
        if self.runner is None:
            return status
        from tradewind.cli.campaign_reading import write_report

        name = self.runner.state.identity.name
        note(f"writing the report of {name}")
        green = write_report(self.configuration.data, name, self.reports, as_json=self.as_json)
        if not self.runner.state.finished:
            note(
                f"{self.runner.state.hours:.2f} of {self.hours:g} h; the same command continues the campaign"
            )
        if self._failure is not None:
            raise CommandFailure(
                ExitCode.RED, "CAMPAIGN_FAILED", f"{type(self._failure).__name__}: {self._failure}"
            )
        if status != ExitCode.OK or not self.runner.state.finished:
            return status
        return green

    async def _tell(self) -> None:
        """A bar on a terminal, else a line every ten minutes."""
        assert self.runner is not None
        runner = self.runner
        if self.as_json or not sys.stderr.isatty():
            while True:
                await asyncio.sleep(TELL_EVERY_S)
                note(_line(runner))
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (TextColumn("campaign"), BarColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(_line(runner), total=runner.state.identity.hours)
            while True:
                bar.update(task, completed=runner.state.hours, description=_line(runner))
                await asyncio.sleep(1.0)


def _line(runner: CampaignRunner) -> str:
    state, meter = runner.state, runner.meter
    hours = f"{state.hours:.2f} of {state.identity.hours:g} h ({state.identity.provenance})"
    book = "book live" if runner.feed_watch.live else "book NOT live"
    return f"{hours}  {book}  {meter.submits} orders  {meter.fills} fills  {state.restarts} restarts"


def provenance_of(configuration: UpConfiguration, label: str) -> Provenance:
    """What the hours of this run are worth. Only a live market on the real clock is real."""
    if configuration.speed != 1.0:
        return "virtual"
    if label.startswith("live:"):
        return "real"
    return "replay" if label.startswith("recorded:") else "generated"


# ---- background -----------------------------------------------------------------------------------------


def running_pid(data: Path) -> int | None:
    """Process of the campaign that runs in this data directory, None when there is none."""
    try:
        content = json.loads((data / PID_FILE).read_text(encoding="utf-8"))
        pid, ticks = int(content["pid"]), content["started_ticks"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if ticks is not None and process_started_ticks(pid) == ticks else None


def _refuse_second(data: Path) -> None:
    pid = running_pid(data)
    if pid is not None:
        raise CommandFailure(
            ExitCode.LOCKED, "CAMPAIGN_RUNS", f"process {pid} runs the campaign of {data} already"
        )


def _detach(data: Path, *, as_json: bool) -> int:
    """The same command without --detach, in a session of its own."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    arguments = [one for one in sys.argv[1:] if one != "--detach"]
    output = data / OUTPUT_FILE
    if output.exists() and output.stat().st_size > MAX_OUTPUT_BYTES:
        output.replace(output.with_suffix(".out.1"))
    with output.open("ab") as target:
        # The interpreter is ours, the arguments are those of this very command.
        child = subprocess.Popen(  # noqa: S603 - see above
            [sys.executable, "-c", START, *arguments],
            stdin=subprocess.DEVNULL, stdout=target, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    deadline_s = time.monotonic() + DETACH_WAIT_S
    while running_pid(data) != child.pid:
        if child.poll() is not None:
            tail = output.read_text(encoding="utf-8", errors="replace")[-800:]
            raise CommandFailure(ExitCode.CANNOT, "NOT_STARTED", f"ended with {child.returncode}: {tail}")
        if time.monotonic() > deadline_s:
            raise CommandFailure(ExitCode.CANNOT, "NOT_STARTED", f"not running yet; see {output}")
        time.sleep(0.1)
    state = load(campaigns.find(data))
    name = "?" if state is None else state.identity.name
    if as_json:
        print_json({"campaign": name, "pid": child.pid, "output": str(output)})
    else:
        note(f"campaign {name} runs as process {child.pid}; its output goes to {output}")
        note(f"look at it with: tradewind paper status --data {data}")
    return ExitCode.OK


__all__ = ["CampaignRefused", "CampaignRun", "effective", "running_pid", "start_campaign"]
