"""Contract suites: one for each port; every implementation and every shipped fake passes."""
