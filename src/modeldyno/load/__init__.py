"""How users are simulated."""
