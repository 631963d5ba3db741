"""What the words mean: pure values and rules. No clock, no await, no I/O."""
