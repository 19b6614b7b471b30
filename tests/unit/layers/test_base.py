"""The mechanism of the rings."""

import pytest

from imageservice.layers.base import Layer, stack


class Service:
    def show(self, ctx, image):
        return f"{image} for {ctx}"


class Loud(Layer):
    def show(self, ctx, image):
        return self.inner.show(ctx, image).upper()


class Traced(Layer):
    def __init__(self):
        self.seen = []

    def around(self, operation, inward, ctx, target, *args, **kwargs):
        self.seen.append(operation)
        return inward(ctx, target, *args, **kwargs)


class Choosy(Traced):
    def _covers(self, operation):
        return operation != "show"


def test_a_call_passes_the_rings_outermost_first():
    traced = Traced()

    assert stack(traced, Loud(), Service()).show("me", "cat") == "CAT FOR ME"
    assert traced.seen == ["show"]


def test_a_ring_that_does_not_define_an_operation_costs_nothing():
    class Idle(Layer):
        pass

    service = Service()

    assert stack(Idle(), service).show == service.show


def test_a_ring_by_table_that_does_not_cover_an_operation_costs_nothing():
    service = Service()

    assert stack(Choosy(), service).show == service.show


def test_an_unknown_operation_is_an_attribute_error():
    with pytest.raises(AttributeError, match="fly"):
        stack(Traced(), Loud(), Service()).fly("me", "cat")


def test_a_ring_cannot_be_of_both_kinds():
    with pytest.raises(TypeError, match="mixes around"):

        class Both(Traced):
            def show(self, ctx, image):
                return self.inner.show(ctx, image)


def test_a_ring_alone_has_no_operations():
    with pytest.raises(AttributeError, match="inner"):
        Loud().show("me", "cat")
