"""Tradewind's own markets as a venue, over the network interface of a node."""
