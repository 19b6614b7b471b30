"""What operators may ask about the stores themselves (images.md §15)."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from imageservice.context import Context

T = TypeVar("T")


class Stores(Generic[T]):
    """``listed`` holds one value per store, ready to be shown."""

    def __init__(self, listed: Sequence[T]) -> None:
        self._listed = tuple(listed)

    def detail(self, ctx: Context, target: None) -> tuple[T, ...]:
        """Every store with its settings."""
        return self._listed
