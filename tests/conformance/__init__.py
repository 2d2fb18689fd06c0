"""One suite for every implementation of the `Venue` protocol; `bench.py` says what a new one has to bring."""
