"""What people read when the platform starts, gets its market, and stops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tradewind.api.platform import Platform, StopReport


def hello(platform: Platform, port: int, elapsed_s: float) -> None:
    """Serving."""
    from rich.console import Console
    from rich.panel import Panel

    one, node = platform.configuration, platform.node
    report = node.open_report
    begun = "new log" if report.get("created") else f"log resumed at command {node.next_seq - 1}"
    if report.get("torn_tail"):
        begun += "; an unfinished last block was cut off (it was never acknowledged)"
    lines = [
        f"[bold]http://localhost:{port}[/]   ({one.env}, serving after {elapsed_s:.2f} s)",
        f"data  {one.data.resolve()}   [dim]{begun}[/]",
        f"api   http://localhost:{port}/api/v1   [dim]token in {one.data / 'api.token'}[/]",
    ]
    Console().print(Panel("\n".join(lines), title="Tradewind", title_align="left", expand=False))


def market(platform: Platform) -> None:
    """The market is chosen and the trader runs."""
    from rich.console import Console

    console, one = Console(), platform.configuration
    assert platform.selected is not None
    label = platform.feed_label
    loud = (
        "[black on yellow] GENERATED: no real market stands behind this [/]"
        if label == "generated"
        else label
    )
    if one.trader is None:
        console.print(f"feed  {loud}  {one.symbol}  strategy {one.strategy} ({one.parameters})")
    else:
        console.print(f"feed  {loud}  strategies of {one.trader}")
        for host in platform.trader.hosts if platform.trader is not None else ():
            console.print(f"      {host.name}  {', '.join(host.symbols)}  {host.budget_pct} % of the equity")
    if one.exchange_demo:
        console.print(f"demo  {demo(platform)}")
    for reason in platform.selected.passed_over:
        console.print(f"      [dim]not used: {reason}[/]")


def demo(platform: Platform) -> str:
    """What became of the leveraged market of `--exchange-demo`, in the state that the log gives it now."""
    from tradewind.core.enums import MarketStatus

    if platform.demo_error is not None:
        return platform.demo_error
    name = f"{platform.configuration.symbol.partition('/')[0]}-PERP"
    status = next((one.market.status for one in platform.directory.markets() if one.symbol == name), None)
    if status is None:
        return f"there is no market {name}"
    if status is MarketStatus.CREATED:
        return f"{name} and its keeper are made; active about two minutes from now"
    return f"{name} was made by an earlier start; it is {status.name.lower().replace('_', ' ')}"


def summary(platform: Platform, report: StopReport) -> dict[str, Any]:
    """What the run was and how it ended."""
    trader = platform.trader
    return {
        "clean": report.clean,
        "left": report.left,
        "differences": report.differences,
        "detail": report.detail,
        "last_seq": platform.node.next_seq - 1,
        "commands": platform.node.commands_committed,
        "blocks": platform.node.blocks_committed,
        "feed": platform.feed_label,
        "feed_events": 0 if platform.session is None else platform.session.feed_events,
        "fills": 0 if trader is None else trader.oms.stats.fills,
    }


def goodbye(platform: Platform, report: StopReport) -> None:
    """The end, and what is left."""
    from rich.console import Console

    console, facts = Console(), summary(platform, report)
    verdict = "[green]stopped in order[/]" if report.clean else "[red]stopped, NOT in order[/]"
    console.print(
        f"{verdict}: {facts['commands']} commands in {facts['blocks']} blocks, "
        f"{facts['feed_events']} market events, {facts['fills']} fills; last command {facts['last_seq']}"
    )
    for line in [report.detail, *report.left, *report.differences]:
        if line:
            console.print(f"  {line}")
