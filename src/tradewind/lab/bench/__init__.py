"""`tradewind bench`: what this machine and this build do, next to the budgets.

Times are printed, never asserted; figures that are the same on every machine have to keep their budget.
"""

from tradewind.lab.bench.budgets import BUDGETS, Budget, defects, judge
from tradewind.lab.bench.effort import FULL, QUICK, Effort
from tradewind.lab.bench.runner import SUITES, Options, run

__all__ = ["BUDGETS", "FULL", "QUICK", "SUITES", "Budget", "Effort", "Options", "defects", "judge", "run"]
