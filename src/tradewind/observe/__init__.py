"""What the platform shows of itself: one read-only view, metrics, health, diagnostic logs."""
