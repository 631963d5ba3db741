"""What each call does: one function per operation, over the store."""
