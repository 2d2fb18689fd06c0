"""`tradewind lab scenario`: market stress on the real engine, with plots of what it did to accounts."""

from tradewind.lab.scenarios.plans import PLANS, Plan

__all__ = ["PLANS", "Plan"]
