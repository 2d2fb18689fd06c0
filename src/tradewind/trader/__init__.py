"""The trader: strategies, pre-trade risk, orders, ledger, kill switch and recovery."""
