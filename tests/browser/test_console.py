"""The console in a real Chromium over a real platform; its claims are checked against the journal itself."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from platform_server import KEYS

from tradewind import _core
from tradewind.core.units import from_micros
from tradewind.node.projections.exchange import ExchangeViews

DESKTOP = {"width": 1440, "height": 1000}
PHONE = {"width": 390, "height": 844}
NAVIGATION_MS = 20_000


class Watched:
    """A page with everything it complained about or asked for."""

    def __init__(self, page: Any, url: str) -> None:
        self.page, self.url = page, url
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        page.on("console", lambda one: self.complaints.append(one.text) if one.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._request)
        page.goto(url)
        page.wait_for_selector("#last-price .num", timeout=NAVIGATION_MS)

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.foreign.append(request.url)


def from_journal(data_dir: Path) -> ExchangeViews:
    """The exchange as an independent reader rebuilds it from the log."""
    views = ExchangeViews()
    views.rebuild(data_dir / "journal")
    return views


def trader_handle(views: ExchangeViews) -> int:
    return views.accounts.by_id[_core.derive_account_id(KEYS.trader)].account


def number(page: Any, selector: str) -> Decimal:
    """The exact value behind a figure on the page."""
    return Decimal(page.locator(selector).first.get_attribute("data-value"))


def tile_numbers(page: Any) -> dict[str, Decimal]:
    """The exact value of every tile, all of one moment: the page follows the market between two reads."""
    shown = page.evaluate(
        "[...document.querySelectorAll('.tile')].map(tile => "
        "[tile.id.replace('tile-', ''), tile.querySelector('.num').dataset.value])"
    )
    return {name: Decimal(value) for name, value in shown}


def hold(page: Any, selector: str, milliseconds: int) -> None:
    """Press and hold, once the opening dialog stands still."""
    page.hover(selector)
    page.mouse.down()
    page.wait_for_selector(f"{selector}.holding")
    page.wait_for_timeout(milliseconds)
    page.mouse.up()


def wait_for_orders(page: Any) -> None:
    page.wait_for_selector("tr[data-order]", timeout=NAVIGATION_MS)


def wait_for_fills(page: Any) -> None:
    page.wait_for_selector("tr[data-seq]", timeout=60_000)


def stop_by_holding(page: Any) -> Any:
    page.click("#stop-button")
    page.wait_for_selector("#stop-hold", state="visible")
    hold(page, "#stop-hold", 1_300)
    outcome = page.wait_for_selector("#stop-dialog .outcome", timeout=NAVIGATION_MS)
    assert outcome is not None
    return outcome


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["1440", "390"])
def test_page_fits_its_width_without_complaints_or_foreign_requests(
    browser: Any, shared_platform: Any, viewport: dict[str, int], tmp_path: Path
) -> None:
    page = browser.new_page(viewport=viewport)
    watched = Watched(page, shared_platform.url)
    wait_for_orders(page)
    page.wait_for_selector(".price-chart canvas")
    widths = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    page.screenshot(path=tmp_path / "console.png", full_page=True)
    assert widths[0] <= widths[1]
    assert (tmp_path / "console.png").stat().st_size > 20_000
    assert watched.complaints == []
    assert watched.foreign == []
    page.close()


def test_environment_and_generated_market_are_announced(browser: Any, shared_platform: Any) -> None:
    page = browser.new_page(viewport=DESKTOP)
    Watched(page, shared_platform.url)
    assert page.inner_text("#env-badge") == "PAPER"
    assert "GENERATED" in page.inner_text("#generated-label")
    assert page.locator("#generated-label").is_visible()
    assert "generated" in page.inner_text("#feed-state")
    assert page.inner_text("#feed-age").endswith((" ms", " s"))
    page.close()


def test_figures_move_with_the_market(browser: Any, shared_platform: Any) -> None:
    page = browser.new_page(viewport=DESKTOP)
    Watched(page, shared_platform.url)
    before = page.inner_text("#fact-seq dd")
    page.wait_for_function(
        "before => document.querySelector('#fact-seq dd').innerText !== before", arg=before, timeout=10_000
    )
    page.close()


def test_theme_interval_and_copy_buttons_work(browser: Any, shared_platform: Any) -> None:
    context = browser.new_context(viewport=DESKTOP, permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    watched = Watched(page, shared_platform.url)
    page.click("#theme-button")
    page.wait_for_selector("body.body--light")
    page.reload()
    page.wait_for_selector("body.body--light", timeout=NAVIGATION_MS)
    page.wait_for_selector("#interval-60", timeout=NAVIGATION_MS)
    page.click("#interval-60")
    page.wait_for_selector('#interval-60[aria-pressed="true"]')
    page.wait_for_selector('#interval-1[aria-pressed="false"]')
    page.click("#copy-hash")
    page.wait_for_function("document.querySelector('#copy-hash').innerText === 'Copied'")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert len(bytes.fromhex(copied)) == 32
    assert watched.complaints == []
    context.close()


def test_emergency_stop_leaves_no_order_in_the_journal_and_shows_what_it_read_back(
    browser: Any, platform: Any
) -> None:
    page = browser.new_page(viewport=DESKTOP)
    watched = Watched(page, platform.url)
    wait_for_orders(page)
    outcome = stop_by_holding(page)
    assert outcome.get_attribute("data-outcome") == "verified"
    assert outcome.get_attribute("data-orders-after") == "0"
    assert outcome.get_attribute("data-state-after") == "halted"
    assert "0 open orders, state halted" in outcome.inner_text()
    page.click("#stop-dialog-close")
    page.wait_for_selector('#trading-state[data-state="halted"]')
    page.wait_for_selector('.alarm[data-code="TRADING_HALTED"]')
    views = from_journal(platform.data_dir)
    assert views.orders.of_account(trader_handle(views)) == []
    assert watched.complaints == []
    page.close()


def test_stop_needs_a_whole_second_of_holding(browser: Any, shared_platform: Any) -> None:
    page = browser.new_page(viewport=DESKTOP)
    Watched(page, shared_platform.url)
    page.click("#stop-button")
    page.wait_for_selector("#stop-hold", state="visible")
    hold(page, "#stop-hold", 300)
    page.wait_for_timeout(1_000)
    assert page.locator("#stop-dialog .outcome").count() == 0
    page.click("#stop-dialog-close")
    page.wait_for_selector("#stop-hold", state="hidden")
    assert page.get_attribute("#trading-state", "data-state") == "normal"
    page.close()


def open_by_key(page: Any, button: str, field: str) -> None:
    """The console of a busy machine may load itself anew: then the key is pressed again."""
    for last in (False, False, True):
        page.focus(button)
        page.keyboard.press("Enter")
        try:
            page.wait_for_selector(field, state="visible", timeout=NAVIGATION_MS / 2)
            return
        except Exception as error:
            if last or type(error).__name__ != "TimeoutError":
                raise


def test_stop_and_refused_resume_work_with_the_keyboard_alone(browser: Any, platform: Any) -> None:
    page = browser.new_page(viewport=PHONE)
    Watched(page, platform.url)
    wait_for_orders(page)
    open_by_key(page, "#stop-button", "#stop-word")
    page.focus("#stop-word")
    page.keyboard.type("STO")
    page.keyboard.press("Enter")
    page.wait_for_selector("#stop-dialog .hint:not(:empty)")
    page.keyboard.type("P")
    page.keyboard.press("Enter")
    outcome = page.wait_for_selector("#stop-dialog .outcome", timeout=NAVIGATION_MS)
    assert outcome.get_attribute("data-outcome") == "verified"
    page.keyboard.press("Escape")
    page.wait_for_selector("#stop-dialog", state="hidden")
    page.focus("#resume-button")
    page.keyboard.press("Enter")
    page.wait_for_selector("#resume-reason", state="visible")
    page.click("#resume-confirm")
    page.wait_for_selector("#resume-dialog .hint:not(:empty)")
    page.fill("#resume-reason", "the books agree")
    page.focus("#resume-confirm")
    page.keyboard.press("Enter")
    refused = page.wait_for_selector("#resume-dialog .outcome", timeout=NAVIGATION_MS)
    assert refused.get_attribute("data-outcome") == "refused"
    assert "cannot be reset" in refused.inner_text()
    assert page.get_attribute("#trading-state", "data-state") == "halted"
    page.close()


def test_resume_with_a_reason_lets_the_strategy_send_orders_again(
    browser: Any, forgiving_platform: Any
) -> None:
    page = browser.new_page(viewport=DESKTOP)
    watched = Watched(page, forgiving_platform.url)
    wait_for_orders(page)
    assert not page.locator("#resume-button").is_visible()
    stop_by_holding(page)
    page.click("#stop-dialog-close")
    page.wait_for_selector("text=No open orders.")
    page.click("#resume-button")
    page.fill("#resume-reason", "the books agree")
    page.click("#resume-confirm")
    outcome = page.wait_for_selector("#resume-dialog .outcome", timeout=NAVIGATION_MS)
    assert outcome.get_attribute("data-outcome") == "verified"
    assert outcome.get_attribute("data-state-after") == "normal"
    page.click("#resume-dialog-close")
    page.wait_for_selector('#trading-state[data-state="normal"]')
    wait_for_orders(page)
    assert not page.locator("#resume-button").is_visible()
    assert watched.complaints == []
    page.close()


def test_tiles_reconcile_with_the_ledger_to_the_last_micro_unit(browser: Any, platform: Any) -> None:
    page = browser.new_page(viewport=DESKTOP)
    Watched(page, platform.url)
    wait_for_fills(page)
    stop_by_holding(page)
    page.click("#stop-dialog-close")
    page.wait_for_selector("text=No open orders.")
    views = from_journal(platform.data_dir)
    handle = trader_handle(views)
    assets = views.assets.by_symbol
    shown = {
        asset: number(page, f'tr[data-asset="{asset}"] td:nth-child(4) .num') for asset in ("BTC", "USDT")
    }
    for asset, total in shown.items():
        balance = next(one for one in views.ledger.balances(handle) if one.asset == assets[asset].asset)
        assert total == from_micros(balance.total)
    fees = trades = 0
    for tape in views.trades.tapes.values():
        for trade in tape.trades:
            trades += handle in (trade.taker_account, trade.maker_account)
    fees = sum(order.fees for order in views.orders.ended if order.account == handle)
    for _ in range(20):
        moment = tile_numbers(page)
        assert moment["total"] == moment["realised"] + moment["unrealised"] - moment["fees"]
        page.wait_for_timeout(100)
    tiles = tile_numbers(page)
    assert tiles["fees"] == from_micros(fees)
    assert f"{trades:,} fills" in page.inner_text("#tile-fees")
    assert tiles["position"] == shown["BTC"]
    assert tiles["total"] == tiles["realised"] + tiles["unrealised"] - from_micros(fees)
    assert tiles["equity"] == 10_000 + tiles["total"]
    page.close()


def test_flatten_sells_the_position_and_shows_it(browser: Any, platform: Any) -> None:
    page = browser.new_page(viewport=DESKTOP)
    Watched(page, platform.url)
    wait_for_fills(page)
    page.click("#stop-button")
    page.wait_for_selector("#stop-hold", state="visible")
    page.click("text=Cancel every order, then sell the position")
    page.wait_for_selector(".consequences:has-text('in slices inside the price collar')")
    hold(page, "#stop-hold", 1_300)
    outcome = page.wait_for_selector("#stop-dialog .outcome", timeout=90_000)
    assert outcome.get_attribute("data-orders-after") == "0"
    assert outcome.get_attribute("data-state-after") == "halted"
    assert outcome.get_attribute("data-outcome") in {"verified", "no_effect"}
    views = from_journal(platform.data_dir)
    assert views.orders.of_account(trader_handle(views)) == []
    page.close()


def test_page_says_that_its_figures_are_old_when_the_platform_dies(browser: Any, platform: Any) -> None:
    page = browser.new_page(viewport=DESKTOP)
    Watched(page, platform.url)
    wait_for_orders(page)
    platform.process.kill()
    page.wait_for_selector("body.silent", timeout=15_000)
    assert "is old" in page.get_attribute("body", "data-silence")
    page.close()
