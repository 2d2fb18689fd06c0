"""`tradewind validate`: the preflight of T16, executed. No check merely reads a flag or finds a file."""

from tradewind.lab.preflight.model import Check, Context, Result, Verdict
from tradewind.lab.preflight.runner import CATALOGUE, passed, run

__all__ = ["CATALOGUE", "Check", "Context", "Result", "Verdict", "passed", "run"]
