"""The one place that picks an implementation for each port."""
