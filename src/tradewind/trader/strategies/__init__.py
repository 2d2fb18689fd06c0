"""Reference strategies. They demonstrate the contract; no profit is claimed for any of them."""
