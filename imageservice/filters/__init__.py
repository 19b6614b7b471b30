"""Filters that ship configured but off: they stand in no pipeline until somebody asks."""
