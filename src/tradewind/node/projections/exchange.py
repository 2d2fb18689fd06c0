"""The views that the API, the console and the reports of one exchange share."""

from __future__ import annotations

from tradewind.node.projections.base import Projections
from tradewind.node.projections.book import BookView
from tradewind.node.projections.chains import ChainsView
from tradewind.node.projections.claims import ClaimsView
from tradewind.node.projections.credits import CreditsView
from tradewind.node.projections.dark import DarkView
from tradewind.node.projections.directory import AccountsView, AssetsView, MarketsView
from tradewind.node.projections.duties import DutiesView
from tradewind.node.projections.feeds import FeedsView
from tradewind.node.projections.fees import FeesView
from tradewind.node.projections.governance import GovernanceView, SuitabilityView
from tradewind.node.projections.halts import BreakersView
from tradewind.node.projections.keepers import KeepersView
from tradewind.node.projections.launch import LaunchView
from tradewind.node.projections.ledger import LedgerView
from tradewind.node.projections.leverage import LeverageView
from tradewind.node.projections.loans import LoansView
from tradewind.node.projections.makers import MakersView
from tradewind.node.projections.orders import OrdersView
from tradewind.node.projections.pools import PoolsView
from tradewind.node.projections.questions import QuestionsView
from tradewind.node.projections.resolution import ResolutionsView, VersesView
from tradewind.node.projections.token import TokenView
from tradewind.node.projections.trades import TradesView
from tradewind.node.projections.vault import VaultView
from tradewind.node.projections.venues import VenuesView


class ExchangeViews(Projections):
    """All views of an exchange: `await service.attach(views.apply, name="views")`."""

    def __init__(self, *, tracks_changes: bool = False) -> None:
        """`tracks_changes`: a reader takes the changes of the books behind each block."""
        self.assets = AssetsView()
        self.accounts = AccountsView()
        self.markets = MarketsView()
        self.ledger = LedgerView()
        self.orders = OrdersView(markets=self.markets)
        self.books = BookView(self.markets, tracks_changes=tracks_changes)
        self.claims = ClaimsView()
        self.trades = TradesView()
        self.leverage = LeverageView()
        self.loans = LoansView()
        self.credits = CreditsView()
        self.feeds = FeedsView()
        self.keepers = KeepersView()
        self.duties = DutiesView()
        self.breakers = BreakersView()
        self.governance = GovernanceView()
        self.suitability = SuitabilityView()
        self.token = TokenView()
        self.makers = MakersView()
        self.launch = LaunchView()
        self.vault = VaultView()
        self.dark = DarkView()
        self.fees = FeesView()
        self.pools = PoolsView()
        self.questions = QuestionsView()
        self.venues = VenuesView()
        self.resolutions = ResolutionsView()
        self.verses = VersesView()
        self.chains = ChainsView()
        super().__init__(
            [
                self.assets,
                self.accounts,
                self.markets,
                self.ledger,
                self.orders,
                self.books,
                self.claims,
                self.trades,
                self.leverage,
                self.loans,
                self.credits,
                self.feeds,
                self.keepers,
                self.duties,
                self.breakers,
                self.governance,
                self.suitability,
                self.token,
                self.makers,
                self.launch,
                self.vault,
                self.dark,
                self.fees,
                self.pools,
                self.questions,
                self.venues,
                self.resolutions,
                self.verses,
                self.chains,
            ]
        )
