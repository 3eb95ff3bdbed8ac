"""The doctor's part on a machine of our own: one module for each kind of thing that is there, found and compared."""
