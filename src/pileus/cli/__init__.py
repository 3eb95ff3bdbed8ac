"""The `pileus` commands: a client of the REST face over HTTP.

It reads the same documents that any other client gets and holds nothing that the API does not offer.
"""
