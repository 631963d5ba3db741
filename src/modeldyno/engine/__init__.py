"""What continues after a crash: jobs and trials, reconciled from their rows."""
