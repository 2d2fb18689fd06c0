"""Kraken's spot REST API and WebSocket v2 on top of the exchange (trading T19.3)."""
