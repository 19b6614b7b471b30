"""What a lease on an image's bytes is held for; one lease per image at a time."""

UPLOAD = "upload"
"""The first bytes: queued → saving → active."""

DELETE = "delete"
"""All bytes of a doomed image are being removed."""

COPY = "copy"
"""A copy is being written into one more store, under the image's id."""

REWRITE = "rewrite"
"""One of several copies is being written again; its row stays meanwhile."""

REMOVE = "remove"
"""One of several copies is being removed."""

VERIFY = "verify"
"""Bytes that a client registered are being read, to know their digests."""
