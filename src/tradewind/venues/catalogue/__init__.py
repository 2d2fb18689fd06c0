"""A catalogue of outcome markets at an outside venue: messages, a client within the budget, a server."""
