"""`tradewind bench`: what this machine and this build do, next to the budgets. Printed, never asserted."""

from tradewind.lab.bench.budgets import BUDGETS, Budget, judge
from tradewind.lab.bench.effort import FULL, QUICK, Effort
from tradewind.lab.bench.runner import SUITES, Options, run

__all__ = ["BUDGETS", "FULL", "QUICK", "SUITES", "Budget", "Effort", "Options", "judge", "run"]
