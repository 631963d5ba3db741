"""Where a model server runs: a process group under limits."""
