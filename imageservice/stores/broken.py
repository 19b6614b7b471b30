"""What stands in for a store whose driver's library is not installed."""

from collections.abc import Mapping
from typing import Any, NoReturn, Self

from imageservice import errors
from imageservice.stores.driver import Driver, Reader, Workers


class Broken(Driver):
    """Takes nothing and gives nothing; says so where a store that is down would.

    A driver that declares nothing is read-only, so uploads into it are answered as for
    any store that takes no data (contract operations.md §3.3).
    """

    def __init__(self, name: str, workers: Workers, kind: str) -> None:
        super().__init__(name, workers)
        self.kind = kind

    @classmethod
    def configured(
        cls, name: str, options: Mapping[str, Any], workers: Workers
    ) -> Self:
        """``options`` is the kind of the store that it stands in for."""
        return cls(name, workers, options["kind"])

    def check(self) -> NoReturn:
        reason = "a library that it needs is not installed; see the log"
        raise errors.StoreUnavailable(store=self.name, reason=reason)

    def write(self, key: str, data: Reader, size: int | None) -> NoReturn:
        self.check()

    def read(self, url: str, offset: int = 0, length: int | None = None) -> NoReturn:
        self.check()

    def size(self, url: str) -> NoReturn:
        self.check()

    def delete(self, url: str) -> NoReturn:
        self.check()

    def discard(self, key: str) -> NoReturn:
        self.check()
