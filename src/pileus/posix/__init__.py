"""Files that last, locks and processes: the system calls that every room needs in the same order."""
