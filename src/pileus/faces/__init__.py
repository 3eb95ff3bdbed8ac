"""One folder per dialect, strangers to each other; `faces.wire` holds the codecs they share.

A face turns requests of its dialect into verb calls and nouns back into answers. It keeps no state, has no
rules of its own and does no I/O; transitional states that a dialect shows are computed here, never stored.
"""
