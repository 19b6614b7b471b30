"""What is wrong with a signature itself is told before a byte of the image is read."""

import datetime
import itertools

import pytest

from imageservice import errors
from imageservice.api.faults import status_of
from imageservice.data.signature import Rules, Signatures
from imageservice.domain.changes import Change
from imageservice.domain.image import SIGNATURE_PROPERTIES as NAMES
from imageservice.layers import location, quota
from imageservice.layers.base import stack
from imageservice.limits.allowances import Same
from tests.signing import Signer
from tests.unit.layers.node import CTX, Body

DAY = datetime.timedelta(days=1)


@pytest.mark.parametrize(
    ("trouble", "status"),
    [
        pytest.param(errors.CertificateUnavailable(certificate_id="c"), 503, id="down"),
        pytest.param(
            errors.SignatureRefused(reason="no such thing"), 400, id="missing"
        ),
        pytest.param(RuntimeError("nobody has thought of it"), None, id="surprise"),
    ],
)
def test_without_its_certificate_no_byte_is_read(signed, unread, trouble, status):
    def fails(ctx, certificate_id):
        raise trouble

    there, signed.node.certificates.get = signed.node.certificates.get, fails

    with pytest.raises(type(trouble)):
        signed.upload(unread)

    signed.require_nothing_left()
    if status:
        assert status_of(type(trouble)) == status
    signed.node.certificates.get = there
    signed.require_taken()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", ["", "abcde"])
def test_a_property_that_makes_no_sense_is_told_before_a_byte_is_read(
    sign, unread, name, value
):
    signed = sign(b"data", **{name: value})

    with pytest.raises(errors.SignatureRefused, match=name):
        signed.upload(unread)

    signed.require_nothing_left()


def ruled(node, **rules):
    """The rings of a service that is as strict as ``rules`` say."""
    inner = node.images.inner
    digests = inner._digests._replace(
        signatures=Signatures(node.certificates, Rules(**rules))
    )
    ring = location.Images(inner._stores, inner._workers, digests)
    return stack(quota.Images(quota.Limits(), Same()), ring, inner.inner)


@pytest.mark.parametrize("case", ["expired", "of-nobody"])
def test_certificates_that_nobody_vouches_for_any_more(signed, unread, signer, case):
    authority = Signer.make("RSA-PSS", "authority", number=1, is_authority=True)
    issued = {
        "expired": lambda: signer.make(
            signer.key_type,
            issuer=authority,
            until=datetime.datetime.now(datetime.UTC) - DAY,
        ),
        "of-nobody": lambda: signer,
    }[case]()
    good = signer.make(signer.key_type, issuer=authority)
    (known,) = signed.node.certificates.kept
    strict = ruled(signed.node, authorities=(authority.certificate,))

    signed.node.certificates.kept[known] = issued.der
    with pytest.raises(errors.SignatureRefused, match="cannot be used"):
        signed.upload(unread, images=strict)
    signed.require_nothing_left()

    signed.node.certificates.kept[known] = good.der
    signed.upload(images=strict)
    assert signed.node.status(signed.image) == "active"


def test_an_image_whose_signature_was_changed_meanwhile_takes_no_bytes(signed):
    before = signed.node.services.find(CTX, signed.image.id)
    change = Change("replace", "img_signature", "bm8=")
    signed.node.services.update(CTX, signed.image, [change])

    with pytest.raises(errors.ImageChanged):
        signed.node.images.upload(CTX, before, Body(), 4, None)

    signed.require_nothing_left()


def test_an_image_that_has_its_bytes_needs_no_certificate_to_refuse_more(signed):
    signed.upload()
    signed.node.certificates.asked.clear()

    with pytest.raises(errors.ImageBusy):
        signed.upload()

    assert signed.node.certificates.asked == []


# --- weakness 57: a part of a signature ---


PARTS = [
    frozenset(chosen)
    for count in range(1, len(NAMES))
    for chosen in itertools.combinations(NAMES, count)
]


def partly(signed, part):
    """Leave ``part`` of the four properties only."""
    rest = [Change("remove", name) for name in NAMES if name not in part]
    signed.node.services.update(CTX, signed.image, rest)


def words(told):
    """The names of properties that are told of."""
    return set(NAMES) & set(told.replace(",", " ").replace(".", " ").split())


@pytest.mark.parametrize("part", PARTS, ids=lambda part: f"{len(part)} of 4")
def test_weakness_57_a_part_of_a_signature_is_never_passed_over_in_silence(
    signed, part, caplog
):
    partly(signed, part)

    signed.upload(b"evil")

    (told,) = [each.getMessage() for each in caplog.records if "lacks" in each.message]
    assert signed.image.id in told
    assert words(told) == set(NAMES) - part
    assert signed.node.status(signed.image) == "active"


@pytest.mark.parametrize("part", PARTS, ids=lambda part: f"{len(part)} of 4")
def test_weakness_57_operators_may_refuse_a_part_of_a_signature(signed, unread, part):
    partly(signed, part)

    with pytest.raises(errors.SignatureIncomplete) as refused:
        signed.upload(unread, images=ruled(signed.node, complete=True))

    assert status_of(type(refused.value)) == 400
    lacks, _, _ = str(refused.value).partition(" Set ")
    assert words(lacks) == set(NAMES) - part
    signed.require_nothing_left()
