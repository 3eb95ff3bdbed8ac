"""The host's side of the protocol: takes orders, keeps them, makes them true with the same steps, and reports."""
