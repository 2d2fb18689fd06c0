"""The Polymarket gateway: its CLOB over REST and WebSocket on outcome markets of the engine."""
