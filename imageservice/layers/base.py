"""The mechanism of the rings: Layer and stack()."""

import functools
from typing import Any


class Layer:
    """A ring round the operations of one resource.

    A ring is one of two kinds. *By name*: it has a method named after an operation,
    with the signature of the Protocol. *By table*: it has one method
    ``around(operation, inward, ctx, target, *args)`` that every operation passes.
    What a ring does not define goes straight to the ring within: no frame, no code.
    Rings hold no per-request state; one instance serves the process.
    """

    # The ring within: another Layer or the service. Any, because a Layer is generic in
    # the resource; rings by name narrow it to their Protocol.
    inner: Any

    def __init_subclass__(cls) -> None:
        named = [n for n in vars(cls) if not n.startswith("_") and callable(getattr(cls, n))]
        if hasattr(cls, "around") and [n for n in named if n not in ("around", *cls.private)]:
            raise TypeError(f"{cls.__name__} mixes around() with methods by name: {named}")

    #: Methods of a ring by table that are not operations.
    private: tuple[str, ...] = ()

    def __getattr__(self, operation: str) -> Any:
        if operation.startswith("_") or operation == "inner":
            raise AttributeError(operation)
        inward = getattr(self.inner, operation)
        around = getattr(type(self), "around", None)
        bound = inward if around is None else functools.partial(around, self, operation, inward)
        # Kept on the instance: the next call finds it without coming here.
        self.__dict__[operation] = bound
        return bound


def stack(*rings: Any) -> Any:
    """Put the rings together, outermost first; the last one is the service itself."""
    for outer, inner in zip(rings, rings[1:], strict=False):
        outer.inner = inner
    return rings[0]
