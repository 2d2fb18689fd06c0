"""Transaction cost analysis (T13.8): what parents and single orders cost, and why. Reads the journal only."""
