"""Signed uploads through the whole chain of readers, whatever breaks in it, and where.

After each failure the image is queued again, nothing is left of its bytes or of its lease,
and the right bytes are taken.
"""

import pytest

from imageservice import errors
from imageservice.domain.allowance import UNLIMITED
from imageservice.domain.changes import Change
from imageservice.layers import quota
from imageservice.layers.base import stack
from imageservice.limits.allowances import Same
from imageservice.stores.driver import BLOCK
from imageservice.stores.testing import Stream, pattern
from tests.unit.layers.node import CTX

#: In one piece, in one block, and in so many that each digest has a thread.
SIZES = (1, BLOCK, 5 * BLOCK + 17)


def spoilt(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


# --- what is read ---


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "unknown"])
@pytest.mark.parametrize("size", SIZES)
def test_the_bytes_that_were_signed_are_taken(sign, size, announced):
    signed = sign(pattern(size))

    signed.upload(size=size if announced else None)

    assert signed.node.status(signed.image) == "active"


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "unknown"])
@pytest.mark.parametrize("where", ["first", "middle", "last"])
@pytest.mark.parametrize("size", SIZES)
def test_a_byte_that_is_another_leaves_nothing(sign, size, where, announced):
    data = pattern(size)
    signed = sign(data)
    place = {"first": 0, "middle": size // 2, "last": size - 1}[where]

    with pytest.raises(errors.SignatureRefused):
        signed.upload(spoilt(data, place), size if announced else None)

    signed.require_nothing_left()
    signed.require_taken()


@pytest.mark.parametrize("change", [-1, 1], ids=["short", "long"])
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "unknown"])
@pytest.mark.parametrize("size", SIZES)
def test_a_byte_too_few_or_too_many_leaves_nothing(sign, size, announced, change):
    signed = sign(pattern(size))
    refusal = errors.SizeMismatch if announced else errors.SignatureRefused

    with pytest.raises(refusal):
        signed.upload(pattern(size + change), size if announced else None)

    signed.require_nothing_left()
    signed.require_taken()


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(errors.BodyBroken(reason="gone"), id="client"),
        pytest.param(errors.LeaseLost(image_id="i"), id="lease"),
        pytest.param(errors.ImageSizeLimit(image_id="i", maximum=1), id="too-large"),
        pytest.param(errors.FormatMismatch(found="iso", declared="raw"), id="format"),
        pytest.param(errors.StoreFull(store="shelf", reason="x"), id="full"),
        pytest.param(RuntimeError("nobody has thought of it"), id="surprise"),
    ],
)
@pytest.mark.parametrize("at", [0, 1, BLOCK, 3 * BLOCK + 5, SIZES[-1]])
def test_a_reader_that_breaks_anywhere_leaves_nothing(sign, at, trouble):
    def breaks():
        raise trouble

    signed = sign(pattern(SIZES[-1]))

    with pytest.raises(type(trouble)):
        signed.upload(Stream(signed.data, at=at, then=breaks))

    signed.require_nothing_left()
    signed.require_taken()


def test_what_is_too_large_is_told_before_what_is_not_signed(node, sign):
    signed = sign(pattern(2 * BLOCK))
    small = stack(
        quota.Images(quota.Limits(image_size_cap=BLOCK), Same()), *rings(node)
    )

    with pytest.raises(errors.ImageSizeLimit):
        signed.upload(images=small)

    signed.require_nothing_left()


def test_a_project_without_room_keeps_nothing(node, sign):
    signed = sign(pattern(2 * BLOCK))
    allowance = Same(UNLIMITED._replace(bytes=BLOCK))
    narrow = stack(quota.Images(quota.Limits(), allowance), *rings(node))

    with pytest.raises(errors.ProjectLimit):
        signed.upload(images=narrow)

    signed.require_nothing_left()


def rings(node):
    """What is within the ring of quotas."""
    return (node.images.inner,)


def test_a_format_that_is_another_is_refused_as_it_would_be_unsigned(sign, node):
    signed = sign(pattern(BLOCK))
    node.services.update(CTX, signed.image, [Change("replace", "disk_format", "qcow2")])

    with pytest.raises(errors.FormatMismatch):
        signed.upload()

    signed.require_nothing_left()
