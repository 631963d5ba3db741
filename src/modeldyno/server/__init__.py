"""The front door: a literal chain of steps."""
