"""Settings, wiring, the HTTP server and supervision: `pileus up`, `cloud`, `host` and the rest.

The only room that joins the others; concrete providers and faces are named in entry points and loaded here.
"""
