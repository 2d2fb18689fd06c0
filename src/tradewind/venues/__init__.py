"""Connections to outside venues: market data feeds, and the venues orders are sent to."""
