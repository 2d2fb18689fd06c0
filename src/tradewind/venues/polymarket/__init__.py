"""Polymarket: outcome tokens traded on a central limit order book, signed by Ethereum wallets."""
