"""Wire-compatible servers on top of a node: unmodified clients of outside venues trade on our own engine."""
