"""The Binance USD-M connector: perpetuals behind the `Venue` protocol. What it shares with spot is there."""
