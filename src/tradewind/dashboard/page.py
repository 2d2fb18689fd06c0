"""The console's page: regions that are re-sent only when their content changed, charts updated in place."""

from __future__ import annotations

import time
from collections.abc import Callable
from html import escape
from importlib import resources

import msgspec
from nicegui import Client, ui
from nicegui.elements.echart import EChart
from nicegui.elements.html import Html

from tradewind.observe.controls import Controls
from tradewind.observe.view import Alarm, PlatformView, Severity, ViewSource

from . import charts, render, text
from .emergency import EmergencyDialog, ResumeDialog

REFRESH_S = 0.4
"""Pause between two updates of an open page."""
MAX_PAGES = 12
"""Pages open at once; each costs rendering time and memory."""
MAX_VIEW_AGE_NS = 3_000_000_000
"""An older view is announced as old."""
INTERVALS_S = (1, 60)

Renderer = Callable[[PlatformView], str]


def open_console(source: ViewSource, controls: Controls | None) -> None:
    """Build the page for one browser; too many pages get a sentence instead."""
    if len(Client.instances) > MAX_PAGES:
        ui.label(f"{MAX_PAGES} console pages are open already. Close one and reload this page.")
        return
    ConsolePage(source, controls).build()


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


class Region:
    """A piece of HTML bound to a pure renderer."""

    def __init__(
        self, renderer: Renderer, view: PlatformView, *, tag: str = "div", classes: str = ""
    ) -> None:
        self._renderer = renderer
        # Not sanitised in the browser: every renderer escapes what comes from outside.
        self.element: Html = ui.html(renderer(view), sanitize=False, tag=tag).classes(classes)

    def refresh(self, view: PlatformView) -> None:
        """Send the region when it looks different now."""
        content = self._renderer(view)
        if content != self.element.content:
            self.element.set_content(content)


class ConsolePage:
    """One open page: its regions, charts and dialogs."""

    def __init__(self, source: ViewSource, controls: Controls | None) -> None:
        self._source = source
        self._controls = controls
        self._regions: list[Region] = []
        self._interval_s = INTERVALS_S[0]
        self._sent: dict[str, charts.Options] = {}
        self._interval_buttons: dict[int, ui.element] = {}

    # ---- building ----------------------------------------------------------------------------------

    def build(self) -> None:
        """Create every element once; afterwards only contents change."""
        view = self._source()
        ui.add_head_html(f"<style>{_asset('console.css')}</style><script>{_asset('console.js')}</script>")
        self._emergency = EmergencyDialog(self._source, self._controls)
        self._resume = ResumeDialog(self._source, self._controls)
        ui.html('<a class="skip" href="#main">Skip to the figures</a>', sanitize=False)
        with ui.element("div").classes("shell"):
            self._header(view)
            self._region(render.alarms, view, classes="alarms").element.props(
                'role="alert" aria-live="assertive"'
            )
            with ui.element("main").classes("main").props('id="main"'):
                self._region(render.tiles, view, tag="section", classes="tiles").element.props(
                    'aria-label="Profit and position"'
                )
                self._market_panels(view)
                self._account_panels(view)
                self._outcome_panel(view)
                self._system_panels(view)
        self._beat = ui.html(str(view.taken_ns), sanitize=False).props('id="tw-beat" hidden')
        ui.timer(REFRESH_S, self.refresh)

    def _region(
        self, renderer: Renderer, view: PlatformView, *, tag: str = "div", classes: str = ""
    ) -> Region:
        region = Region(renderer, view, tag=tag, classes=classes)
        self._regions.append(region)
        return region

    def _header(self, view: PlatformView) -> None:
        with ui.element("header").classes("top"):
            with ui.element("div").classes("brand-line"):
                ui.html(BRAND, sanitize=False)
                self._region(render.identity, view, classes="identity")
                self._region(render.feed, view, classes="feed")
                self._region(render.trading, view, classes="trading").element.props('aria-live="polite"')
                with ui.element("div").classes("actions"):
                    self._actions(view)
            self._region(render.ticker, view, classes="ticker")

    def _actions(self, view: PlatformView) -> None:
        theme = _button("◐", "plain", "Switch between dark and light", "theme-button")
        theme.on("click", js_handler="() => tw.toggleTheme()")
        if self._controls is None:
            ui.html('<span class="quiet">read-only</span>', sanitize=False)
            return
        self._resume_button = _button("Resume…", "plain resume", "Resume trading", "resume-button")
        self._resume_button.on("click", self._resume.open)
        self._resume_button.set_visibility(view.trading.state != "normal")
        stop = _button("Emergency stop", "stop", "Emergency stop: opens the confirmation", "stop-button")
        stop.on("click", self._emergency.open)

    def _panel(self, title: str, area: str) -> ui.element:
        panel = ui.element("section").classes(f"panel area-{area}").props(f'aria-label="{title}"')
        with panel:
            self._panel_head = ui.element("div").classes("panel-head")
            with self._panel_head:
                ui.html(title, sanitize=False, tag="h2")
        return panel

    def _market_panels(self, view: PlatformView) -> None:
        with self._panel("Price", "chart"):
            with self._panel_head, ui.element("div").classes("segments").props('role="group"'):
                for interval_s, name in zip(INTERVALS_S, ("1 s", "1 m"), strict=True):
                    self._interval_buttons[interval_s] = self._interval_button(interval_s, name)
            self._price: EChart = ui.echart(charts.price_frame()).classes("price-chart")
            ui.html("Depth", sanitize=False, tag="h3").classes("sub")
            self._depth: EChart = ui.echart(charts.depth_frame()).classes("depth-chart")
        with self._panel("Order book", "ladder"):
            with self._panel_head:
                self._region(lambda now: render.quality_note(now.depth.quality, now.depth.age_ms), view)
            self._region(render.ladder, view, classes="ladder-box")
        with self._panel("Limits", "limits"):
            self._region(render.limits, view)

    def _interval_button(self, interval_s: int, name: str) -> ui.element:
        button = _button(name, "segment", f"Candles of {name}", f"interval-{interval_s}")
        button.props(f'aria-pressed="{"true" if interval_s == self._interval_s else "false"}"')
        button.on("click", lambda: self._choose_interval(interval_s))
        return button

    def _account_panels(self, view: PlatformView) -> None:
        with self._panel("Our orders", "orders"):
            with self._panel_head:
                self._region(_open_count, view)
            self._region(render.orders, view, classes="scroll")
        with self._panel("Our fills", "fills"):
            self._region(render.fills, view, classes="scroll")
        with self._panel("Balances", "balances"):
            self._region(render.balances, view, classes="scroll")
            self._region(render.strategy, view, classes="strategy")

    def _outcome_panel(self, view: PlatformView) -> None:
        with self._panel("Outcome markets", "outcomes"):
            with self._panel_head:
                self._region(render.outcome_counts, view)
            self._region(render.outcomes, view, classes="scroll")

    def _system_panels(self, view: PlatformView) -> None:
        with self._panel("Journal", "journal"):
            self._region(render.journal, view)
            with ui.element("div").classes("hash-line"):
                ui.html("Head hash", sanitize=False, tag="span").classes("quiet")
                self._region(render.head_hash, view)
                copy = _button("Copy", "plain small", "Copy the hash of the journal's head", "copy-hash")
                copy.on("click", js_handler="(event) => tw.copyHash(event.currentTarget)")
        with self._panel("Performance", "performance"):
            self._region(render.performance, view)
        ui.html(f"Tradewind {escape(view.version)}", sanitize=False, tag="footer").classes("quiet foot")

    # ---- refreshing --------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Bring the page up to the newest view."""
        view = _announce_age(self._source())
        for region in self._regions:
            region.refresh(view)
        self._send("price", self._price, charts.price_data(view, self._interval_s))
        self._send("depth", self._depth, charts.depth_data(view))
        if self._controls is not None:
            self._resume_button.set_visibility(view.trading.state != "normal")
        self._emergency.refresh(view)
        self._beat.set_content(str(view.taken_ns))

    def _send(self, name: str, chart: EChart, data: charts.Options) -> None:
        if self._sent.get(name) != data:
            self._sent[name] = data
            chart.run_chart_method("setOption", data)

    def _choose_interval(self, interval_s: int) -> None:
        self._interval_s = interval_s
        for one, button in self._interval_buttons.items():
            button.props(f'aria-pressed="{"true" if one == interval_s else "false"}"')
        self.refresh()


def _announce_age(view: PlatformView) -> PlatformView:
    """A view that is no longer refreshed says so on top of everything else."""
    old_ns = time.time_ns() - view.taken_ns
    if old_ns <= MAX_VIEW_AGE_NS:
        return view
    alarm = Alarm(
        severity=Severity.CRITICAL,
        code="VIEW_OLD",
        text=f"Everything on this page is {text.age(old_ns // 1_000_000)} old.",
    )
    return msgspec.structs.replace(view, alarms=(alarm, *view.alarms))


def _open_count(view: PlatformView) -> str:
    count = text.unknown() if view.orders_open is None else f"{view.orders_open:,}"
    return f'<span class="age" id="open-orders">{count} open</span>'


def _button(label: str, classes: str, spoken: str, identifier: str) -> ui.element:
    button = (
        ui.element("button").classes(classes).props(f'type="button" id="{identifier}" aria-label="{spoken}"')
    )
    with button:
        ui.html(label, sanitize=False, tag="span")
    return button


BRAND = (
    '<h1 class="brand"><svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">'
    '<path d="M7 22c5 0 8-2 9-6V5c6 3 9 8 9 14-3 2-6 3-9 3z" fill="var(--accent)"/>'
    '<path d="M5 26c4-2 7 2 11 0s7 2 11 0" stroke="var(--sky)" stroke-width="2" fill="none" '
    'stroke-linecap="round"/></svg><span>Tradewind</span></h1>'
)
