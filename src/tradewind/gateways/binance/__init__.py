"""Binance spot on top of the exchange: REST, market streams, WebSocket API and user events."""
