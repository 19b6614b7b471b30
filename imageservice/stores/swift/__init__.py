"""The swift store: images as objects of an OpenStack Object Storage account."""

from imageservice.stores.swift.store import Swift

__all__ = ["Swift"]
