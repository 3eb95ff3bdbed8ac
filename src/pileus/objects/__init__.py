"""Bytes with metadata, behind the image store and the S3 face.

An object is one immutable file, written, synced and renamed before the answer is given. Objects are not nouns
(buckets are), so they have no `wanted` and no loop.
"""

from pileus.objects.files import Incoming, ObjectStore, Stored

__all__ = ["Incoming", "ObjectStore", "Stored"]
