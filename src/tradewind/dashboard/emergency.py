"""Emergency stop and resume: say the consequences, confirm on purpose, act, show what was read back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from decimal import Decimal
from html import escape

import msgspec
from nicegui import ui

from tradewind.observe.controls import ControlResult, Controls, Outcome
from tradewind.observe.view import PlatformView, ViewSource

from . import render, text

CONTROL_TIMEOUT_S = 30.0
"""Longest wait for a control's own read-back."""
READ_BACK_S = 5.0
"""Longest wait for a view that is newer than the control's answer."""
READ_BACK_STEP_S = 0.1
MAX_REASON = 200
LEAST_REASON = 5
ACTOR = "console"

ACTIONS = {
    "halt": "Cancel every order and keep the position",
    "flatten": "Cancel every order, then sell the position",
}
CONFIRM_WORD = "STOP"


def consequences(view: PlatformView, action: str) -> str:
    """What pressing the button will do, with the numbers of this moment."""
    count = "an unknown number of" if view.orders_open is None else f"{view.orders_open:,}"
    lines = [f"Cancels <b>{count}</b> open orders and verifies that none is left.",
             "Stops the strategy from sending new orders."]  # fmt: skip
    position = text.reading(view.position.quantity, render.lot_decimals(view), unit=view.market.base)
    if action == "flatten":
        lines.append(
            f"Sells the position of <b>{position}</b> in slices inside the price collar; this costs fees."
        )
    elif view.position.quantity.value is not None and not Decimal(view.position.quantity.value):
        lines.append("There is no position to keep.")
    else:
        lines.append(f"Keeps the position of <b>{position}</b>; it still gains and loses with the market.")
    lines.append("Trading stays halted, also after a restart, until an operator resumes it with a reason.")
    return f"<ul>{''.join(f'<li>{line}</li>' for line in lines)}</ul>"


def result_html(result: ControlResult, seen: PlatformView | None) -> str:
    """The read-back result as a table; anything but success is loud."""
    titles = {
        Outcome.VERIFIED: ("✓", "Done and verified"),
        Outcome.NO_EFFECT: ("✓", "Nothing had to be done (verified)"),
        Outcome.NOT_VERIFIED: ("▲", "Not verified"),
        Outcome.REFUSED: ("▲", "Refused; nothing changed"),
        Outcome.FAILED: ("■", "Failed"),
    }
    shape, title = titles[result.outcome]
    rows = [
        ("Open orders", _count(result.orders_before), _count(result.orders_after)),
        ("Trading state", _word(result.state_before), _word(result.state_after)),
        ("Position", _word(result.position_before), _word(result.position_after)),
    ]
    cells = "".join(f"<tr><th scope=row>{a}</th><td>{b}</td><td>{c}</td></tr>" for a, b, c in rows)
    if seen is not None:
        read_back = f"{_count(seen.orders_open)} open orders, state {escape(seen.trading.state)}"
    else:
        read_back = text.unknown()
    left = "".join(f"<li><code>{escape(one)}</code></li>" for one in result.left[:20])
    return (
        f'<div class="outcome {"good" if result.succeeded else "bad"}" data-outcome="{result.outcome.value}" '
        f'data-orders-after="{result.orders_after}" '
        f'data-state-after="{escape(result.state_after or "unknown")}">'
        f'<h3><i class="shape" aria-hidden="true">{shape}</i>{title}</h3>'
        f'<table class="rows compare"><thead><tr><th></th><th>Before</th><th>After</th></tr></thead>'
        f"<tbody>{cells}</tbody></table>"
        f'<p class="quiet">Read back by the console: {read_back}'
        f"{'' if result.duration_ms is None else f' · took {text.age(result.duration_ms)}'}</p>"
        + (
            f"<p><b>{escape(result.code)}</b> {escape(result.detail)}</p>"
            if result.detail or result.code
            else ""
        )
        + (f"<p>Still open:</p><ul>{left}</ul>" if left else "")
        + ("" if result.succeeded else "<p>Also possible from a shell: <code>tradewind halt</code></p>")
        + "</div>"
    )


def _count(value: int | None) -> str:
    return text.unknown() if value is None else f"{value:,}"


def _word(value: str | None) -> str:
    return text.unknown() if value is None else escape(value)


async def run_control(work: Awaitable[ControlResult], action: str) -> ControlResult:
    """Await a control; a time-out or an error becomes a result that is no success."""
    started = time.monotonic()
    try:
        async with asyncio.timeout(CONTROL_TIMEOUT_S):
            result = await work
    except TimeoutError:
        result = ControlResult(
            action=action, outcome=Outcome.NOT_VERIFIED, detail=f"no answer within {CONTROL_TIMEOUT_S:.0f} s"
        )
    except Exception as error:  # noqa: BLE001  whatever went wrong, the operator must read it here
        code = str(getattr(error, "code", type(error).__name__))
        result = ControlResult(
            action=action, outcome=Outcome.FAILED, code=code, detail=str(error)[:MAX_REASON]
        )
    if result.duration_ms is None:
        result = msgspec.structs.replace(result, duration_ms=int((time.monotonic() - started) * 1_000))
    return result


async def read_back(source: ViewSource, after_ns: int) -> PlatformView | None:
    """A view taken after `after_ns`, or None when none comes in time."""
    for _ in range(int(READ_BACK_S / READ_BACK_STEP_S)):
        view = source()
        if view.taken_ns > after_ns:
            return view
        await asyncio.sleep(READ_BACK_STEP_S)
    return None


def judge(result: ControlResult, seen: PlatformView | None) -> ControlResult:
    """A stop counts only when the console's own reading agrees with the control's claim."""
    if not result.succeeded or result.action == "resume":
        return result
    if seen is None:
        return msgspec.structs.replace(
            result, outcome=Outcome.NOT_VERIFIED, detail="the console got no newer view to compare with"
        )
    if seen.orders_open != 0 or seen.trading.state != "halted":
        detail = f"the console reads {seen.orders_open} open orders and state {seen.trading.state}"
        return msgspec.structs.replace(result, outcome=Outcome.NOT_VERIFIED, detail=detail)
    return result


class _ControlDialog:
    """Common part: a dialog with a form, a progress line and a result."""

    title = ""
    identifier = ""

    def __init__(self, source: ViewSource, controls: Controls | None) -> None:
        self._source = source
        self._controls = controls
        self._busy = False
        self.dialog = ui.dialog().props('aria-modal="true"')
        with (
            self.dialog,
            ui.element("div").classes("dialog").props(f'id="{self.identifier}" role="document"'),
        ):
            ui.html(self.title, sanitize=False, tag="h2")
            self._form = ui.element("div").classes("form")
            with self._form:
                self._build_form()
            self._progress = ui.html("", sanitize=False).classes("progress").props('role="status"')
            self._result = ui.html("", sanitize=False).props('role="alert"')
            close = ui.element("button").classes("plain").props(f'type="button" id="{self.identifier}-close"')
            with close:
                ui.html("Close", sanitize=False, tag="span")
            close.on("click", self.dialog.close)

    def _build_form(self) -> None:
        raise NotImplementedError

    def open(self) -> None:
        """Show the form afresh (while a control runs, its progress instead)."""
        if not self._busy:
            self._form.set_visibility(True)
            self._result.set_content("")
            self._progress.set_content("")
            self._reset()
        self.dialog.open()

    def _reset(self) -> None:
        raise NotImplementedError

    async def _act(self, action: str, work: Awaitable[ControlResult]) -> None:
        self._busy = True
        self._form.set_visibility(False)
        self._progress.set_content(
            '<span class="spinner" aria-hidden="true"></span>Working, then reading back…'
        )
        try:
            result = await run_control(work, action)
            seen = await read_back(self._source, time.time_ns())
            self._result.set_content(result_html(judge(result, seen), seen))
        finally:
            self._progress.set_content("")
            self._busy = False


class EmergencyDialog(_ControlDialog):
    """Stops trading: hold the button for a second, or type the word."""

    title = "Emergency stop"
    identifier = "stop-dialog"

    def _build_form(self) -> None:
        self._choice = ui.radio(ACTIONS, value="halt", on_change=lambda: self.refresh(self._source()))
        self._choice.props('id="stop-choice"')
        self._text = ui.html("", sanitize=False).classes("consequences")
        self._reason = ui.input("Reason (kept in the journal)").props(
            f'outlined dense maxlength={MAX_REASON} for="stop-reason"'
        )
        hold = ui.element("button").classes("hold").props('type="button" id="stop-hold"')
        with hold:
            ui.html("Hold for one second to stop trading", sanitize=False, tag="span")
        hold.on("held", self._confirmed, [])
        ui.html(f"or type {CONFIRM_WORD} and press Enter", sanitize=False, tag="p").classes("quiet or")
        self._word = ui.input(f"Type {CONFIRM_WORD}").props('outlined dense autocomplete=off for="stop-word"')
        self._word.on("keydown.enter", self._typed, [])
        self._hint = ui.html("", sanitize=False).classes("hint").props('role="status"')

    def _reset(self) -> None:
        self._choice.set_value("halt")
        self._word.set_value("")
        self._reason.set_value("")
        self._hint.set_content("")
        self.refresh(self._source())

    def refresh(self, view: PlatformView) -> None:
        """Keep the numbers of the consequences current while the dialog is open."""
        if (self.dialog.value and not self._busy) or not self._text.content:
            self._text.set_content(consequences(view, str(self._choice.value)))

    async def _typed(self) -> None:
        if str(self._word.value).strip().upper() != CONFIRM_WORD:
            self._hint.set_content(f"Type {CONFIRM_WORD} to confirm.")
            return
        await self._confirmed()

    async def _confirmed(self) -> None:
        if self._busy or self._controls is None:
            return
        reason = str(self._reason.value or "").strip()[:MAX_REASON] or "emergency stop from the console"
        action = str(self._choice.value)
        control = self._controls.flatten if action == "flatten" else self._controls.halt
        await self._act(action, control(reason=reason, actor=ACTOR))


class ResumeDialog(_ControlDialog):
    """Leaves a halt; the trader checks reason, reconciliation and cool-down."""

    title = "Resume trading"
    identifier = "resume-dialog"

    def _build_form(self) -> None:
        ui.html(
            "The strategy may send orders again. "
            "Refused while reconciliation has differences or the cool-down runs.",
            sanitize=False,
            tag="p",
        )
        self._reason = ui.input("Why is it safe to resume?").props(
            f'outlined dense maxlength={MAX_REASON} for="resume-reason"'
        )
        self._reason.on("keydown.enter", self._confirmed, [])
        self._hint = ui.html("", sanitize=False).classes("hint").props('role="status"')
        confirm = ui.element("button").classes("primary").props('type="button" id="resume-confirm"')
        with confirm:
            ui.html("Resume", sanitize=False, tag="span")
        confirm.on("click", self._confirmed, [])

    def _reset(self) -> None:
        self._reason.set_value("")
        self._hint.set_content("")

    async def _confirmed(self) -> None:
        reason = str(self._reason.value or "").strip()[:MAX_REASON]
        if len(reason) < LEAST_REASON:
            self._hint.set_content(f"Give a reason of at least {LEAST_REASON} characters.")
            return
        if self._busy or self._controls is None:
            return
        await self._act("resume", self._controls.resume(reason=reason, actor=ACTOR))
