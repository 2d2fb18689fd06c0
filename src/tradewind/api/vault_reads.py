"""What the API tells of the vault, coverage and the elastic fee."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from fastapi import Request

from tradewind.api.directory import Directory
from tradewind.api.numbers import plain_text
from tradewind.api.problems import ApiFailure
from tradewind.core import native
from tradewind.core.enums import Line
from tradewind.core.units import from_micros
from tradewind.node.projections.vault import NO_CAP, PLATFORM_BUCKET, STAGES, STATES, TERMS
from tradewind.observe import shortfall

MAX_ROWS: Final = 1_000
PPM: Final = Decimal(1_000_000)
RATE: Final = Decimal(100_000_000)


class VaultReads:
    """Plain documents. Money is decimal text; coverage of nothing at risk is `"infinite"`."""

    def __init__(self, directory: Directory, now_ns: Callable[[], int] = lambda: 0) -> None:
        self._directory = directory
        self._now_ns = now_ns
        self._views = directory.views

    def _asset(self) -> Any:
        asset = next((a for a in self._views.assets.by_number.values() if a.settles), None)
        if asset is None:
            raise ApiFailure(404, "ASSET_NOT_FOUND", "no asset is registered as the settlement asset")
        return asset

    def _nav(self) -> int:
        number = self._asset().asset
        lines = (Line.VAULT_CASH, Line.VAULT_LOANS)
        return sum(self._views.ledger.system_line(line, number) for line in lines)

    def vault(self, account: str | None) -> dict[str, Any]:
        """Value, shares, price and open exits; of one account when it is named."""
        view, nav = self._views.vault, self._nav()
        handle = None if account is None else self._directory.account(account).account
        tickets = [one for one in view.tickets.values() if handle in (None, one.account)]
        document: dict[str, Any] = {
            "asset": self._asset().symbol,
            "nav": _money(nav),
            "shares": _money(view.supply),
            "share_price": plain_text(
                (Decimal(nav + 10**6) / (view.supply + 10**6)).quantize(Decimal("1e-6"))
            ),
            "stage": STAGES[view.stage],
            "epoch_began_ns": view.epoch_ns or None,
            "epoch_nav": _money(view.epoch_nav),
            "performance_fees": _money(view.performance_fees),
            "management_fees": _money(view.management_fees),
            "insurance_set_aside": _money(view.returning),
            "insurance_returned": _money(view.returned),
            "holders": len(view.shares),
            "exits": [self._ticket(one) for one in tickets[:MAX_ROWS]],
        }
        if handle is not None:
            held = view.shares.get(handle, 0)
            document |= {
                "account_shares": _money(held),
                "account_value": _money(native.vault_assets(held, view.supply, nav)),
            }
        return document

    def _ticket(self, one: Any) -> dict[str, Any]:
        cohort = self._views.vault.cohorts[one.cutoff_ns]
        return {
            "ticket": one.ticket,
            "account": one.account,
            "shares": _money(one.shares),
            "cutoff_ns": one.cutoff_ns,
            "to_collect": _money(self._views.vault.entitled(one)),
            "collected": _money(one.collected),
            "cohort_unserved": _money(cohort.unserved),
        }

    def coverage(self) -> dict[str, Any]:
        """NAV against S, the state, the stage, what new leverage may be, and where the risk is."""
        view, nav = self._views.vault, self._nav()
        ppm = native.coverage_ppm(nav, view.at_risk)
        cap = view.leverage_cap_e2
        return {
            "nav": _money(nav),
            "at_risk": _money(view.at_risk),
            "coverage": _ratio(ppm),
            "state": STATES[view.state],
            "stage": STAGES[view.stage],
            "leverage_cap": None if cap == NO_CAP else plain_text(Decimal(cap) / 100),
            "leverage_bound_by": None if cap == NO_CAP else TERMS[view.leverage_term],
            "correlation": _ratio(view.correlations.get(PLATFORM_BUCKET, 1_000_000)),
            "buckets": [
                {"bucket": bucket, "correlation": _ratio(rho)}
                for bucket, rho in sorted(view.correlations.items())
                if bucket != PLATFORM_BUCKET
            ],
            "worst_cases": [
                {"market": market, "bucket": one.bucket, "worst_case": _money(one.amount)}
                for market, one in sorted(view.worst_cases.items())[:MAX_ROWS]
            ],
        }

    def expected_shortfall(self, level: str | None = None) -> dict[str, Any]:
        """The worst 2.5 % of the vault (P9.5); of another level by its days alone."""
        found = shortfall.shortfall_of(self._views)
        if found is None:
            self._asset()
            raise AssertionError("a settlement asset has a shortfall")
        worst = [one.amount for one in self._views.vault.worst_cases.values()]
        document = {
            "level": "0.975",
            "nav": _money(found.nav),
            "expected_shortfall": _money(found.expected),
            "resolution": _money(found.resolution),
            "history": None if found.history is None else _money(found.history),
            "days": found.days,
            "days_needed": shortfall.LEAST_DAYS,
            "needed": _money(-(-3 * found.expected // 2)),
            "short": found.is_short,
            "worst_cases": len(worst),
        }
        if level is None:
            return document
        level_ppb = _level_ppb(level)
        days = self._views.vault.daily_losses_ppb
        try:
            amount = shortfall.historical(days, max(0, found.nav), level_ppb)
        except shortfall.TooFewPointsError as error:
            raise ApiFailure(422, "PARAMETER_OUT_OF_BOUNDS", f"a tail of {level}: {error}") from error
        return document | {"level": level, "history": _money(amount)}

    def fee_coverage_ppm(self) -> int | None:
        """The coverage that the elastic fee sees in ppm; None when nothing is at risk."""
        view = self._views.vault
        return 0 if STAGES[view.stage] == "BOOTSTRAP" else native.coverage_ppm(self._nav(), view.at_risk)

    def fee(self, account: str | None = None) -> dict[str, Any]:
        """The elastic taker rate as it stands (P8.2): full while the vault is in BOOTSTRAP.

        Of an account when it is named, with its volume of 30 days, its tier and the next one (P8.4).
        Adjustments for the state of a market (P8.3) come on top.
        """
        view = self._views.vault
        ppm = self.fee_coverage_ppm()
        rate = native.fee_rate_e8(ppm)
        return {
            "rate_bp": plain_text(Decimal(rate) / RATE),
            "fee_coverage": _ratio(ppm),
            "stage": STAGES[view.stage],
            "floor_bp": plain_text(Decimal(native.fee_rate_e8(None)) / RATE),
            "cap_bp": plain_text(Decimal(native.fee_rate_e8(0)) / RATE),
            "load_bp": self._views.fees.load_bp,
            "buyback": self._buyback(),
        } | ({} if account is None else self._tier(account, ppm))

    def _buyback(self) -> dict[str, str]:
        """Money that waits to buy the token, what it has cost so far, and how much of it is burnt (P8.8)."""
        fees = self._views.fees
        settles = [asset.asset for asset in self._views.assets.by_number.values() if asset.settles]
        waiting = sum(self._views.ledger.system_line(Line.BUYBACK, asset) for asset in settles)
        return {"waiting": _money(waiting), "spent": _money(fees.spent), "burnt": _money(fees.burnt)}

    def _tier(self, account: str, ppm: int | None) -> dict[str, Any]:
        handle = self._directory.account(account).account
        volume, today = self._views.fees.volume(handle, self._now_ns())
        staked = self._views.token.staked(handle)
        discount = native.fee_discount_bp(volume, staked)
        tiers = native.fee_tiers()[0]
        ahead = next(((least, bp) for least, bp in tiers if least > volume), None)
        return {
            "account": account,
            "rate_bp": plain_text(Decimal(native.fee_rate_e8(ppm, 0, discount)) / RATE),
            "volume_30d": _money(volume),
            "volume_today": _money(today),
            "staked": _money(staked),
            "discount_bp": discount,
            "volume_discount_bp": native.fee_discount_bp(volume, 0),
            "stake_discount_bp": native.fee_discount_bp(0, staked),
            "next_tier": None
            if ahead is None
            else {"volume": _money(ahead[0]), "missing": _money(ahead[0] - volume), "discount_bp": ahead[1]},
        }


def _level_ppb(text: str) -> int:
    """A level between 0.5 and 1 in ppb."""
    try:
        level = Decimal(text)
    except ArithmeticError as error:
        raise ApiFailure(400, "MALFORMED_REQUEST", f"level {text!r} is no number") from error
    if not Decimal("0.5") <= level < 1:
        raise ApiFailure(422, "PARAMETER_OUT_OF_BOUNDS", "level must be at least 0.5 and below 1")
    return int(level * 1_000_000_000)


def _price(nav: int, supply: int) -> Decimal:
    """Of a share, to a millionth, with the virtual unit of both."""
    return (Decimal(nav + 10**6) / (supply + 10**6)).quantize(Decimal("1e-6"))


def _money(micros: int) -> str:
    return plain_text(from_micros(micros))


def _ratio(ppm: int | None) -> str:
    return "infinite" if ppm is None else plain_text(Decimal(ppm) / PPM)


def vault_reads(reads: VaultReads) -> list[tuple[str, Callable[[Request], Any], str]]:
    """Path, handler and summary of every reading."""
    return [
        (
            "/vault",
            lambda r: reads.vault(r.query_params.get("account")),
            "Value, shares, exits",
        ),
        ("/coverage", lambda _: reads.coverage(), "Coverage, stage, leverage, worst cases"),
        (
            "/vault/shortfall",
            lambda r: reads.expected_shortfall(r.query_params.get("level")),
            "Expected shortfall of the vault",
        ),
        (
            "/fee",
            lambda r: reads.fee(r.query_params.get("account")),
            "The elastic taker rate as it stands, of an account with its volume and tier",
        ),
    ]
