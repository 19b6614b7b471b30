"""The mechanism of the rings: Layer and stack()."""

import functools
from typing import Any


class Layer:
    """A ring round the operations of one resource.

    A ring is one of two kinds. *By name*: it has a method named after an operation,
    with the signature of the Protocol. *By table*: it has one method
    ``around(operation, inward, ctx, target, ...)`` that every operation passes, but
    those for which ``_covers`` says no. What a ring does not define goes straight to
    the ring within: no frame, no code. Methods with a leading underscore are never
    operations. Rings hold no per-request state; one instance serves the process.
    """

    # The ring within: another Layer or the service. Any, because a Layer is generic in
    # the resource; rings by name narrow it to their Protocol.
    inner: Any

    def __init_subclass__(cls) -> None:
        public = {n for n, v in vars(cls).items() if callable(v) and n[0] != "_"}
        if hasattr(cls, "around") and public - {"around"}:
            # A method by name would silently skip around().
            raise TypeError(f"{cls.__name__} mixes around() with methods: {public}")

    def _covers(self, operation: str) -> bool:
        """Tell whether ``around`` has anything to do for ``operation``."""
        return True

    def __getattr__(self, operation: str) -> Any:
        if operation.startswith("_") or operation == "inner":
            raise AttributeError(f"{type(self).__name__} has no {operation}")
        bound = getattr(self.inner, operation)
        around = getattr(type(self), "around", None)
        if around is not None and self._covers(operation):
            bound = functools.partial(around, self, operation, bound)
        # Kept on the instance: the next call finds it without coming here.
        self.__dict__[operation] = bound
        return bound


def stack(*rings: Any) -> Any:
    """Put the rings together, outermost first; the last one is the service itself."""
    for outer, inner in zip(rings, rings[1:], strict=False):
        outer.inner = inner
    return rings[0]
