"""Only the bytes that were signed come through, whatever key, hash and pieces there are."""

import base64
import datetime
import uuid
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imageservice import errors
from imageservice.context import Context
from imageservice.data.hashing import Hashing
from imageservice.data.signature import Rules, Signatures
from imageservice.domain.image import SIGNATURE_PROPERTIES as NAMES
from imageservice.stores.driver import BLOCK
from imageservice.stores.testing import EDGES, Stream, Threads, pattern
from tests.signing import DAY, HASHES, KEY_TYPES, NOW, Kept, Signer

CTX = Context(project_id="p")
ID = str(uuid.uuid4())


def verifier(properties, signer=None, rules=None):
    shelf = Kept(**{ID: signer} if signer else {})
    image = SimpleNamespace(id="an-image", properties=properties)
    return Signatures(shelf, rules or Rules()).verifier(CTX, image)


def passed(data, checked, piece=100_000):
    """What comes out at the end of an upload of ``data``."""
    found = bytearray()
    with Hashing(Stream(data, piece=piece), "sha512", Threads(), checked) as hashing:
        while block := hashing.read(BLOCK):
            found += block
        hashing.result()
    return bytes(found)


@pytest.mark.parametrize("method", HASHES)
@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_what_was_signed_passes_and_what_was_not_does_not(key_type, method):
    signer = Signer.make(key_type)
    properties = signer.properties(b"content", ID, method)

    assert passed(b"content", verifier(properties, signer)) == b"content"
    with pytest.raises(errors.SignatureRefused, match="not what was signed"):
        passed(b"c0ntent", verifier(properties, signer))


@pytest.mark.parametrize("size", [*EDGES, 20_000, 9 * BLOCK])
def test_a_bit_that_differs_is_found_at_any_size(size):
    signer = Signer.make("ECC_SECP384R1")
    data = pattern(size)
    properties = signer.properties(data, ID)
    last = bytes([data[-1] ^ 1]) if data else b"\0"

    assert passed(data, verifier(properties, signer)) == data
    with pytest.raises(errors.SignatureRefused):
        passed(data[:-1] + last, verifier(properties, signer))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(size=st.integers(0, 3 * BLOCK), piece=st.integers(1_000, 2 * BLOCK))
def test_the_pieces_in_which_data_comes_make_no_difference(size, piece):
    signer = Signer.make("ECC_SECP384R1")
    data = pattern(size)

    checked = verifier(signer.properties(data, ID, "SHA-512"), signer)

    assert passed(data, checked, piece) == data


def test_who_reads_on_after_a_refusal_is_refused_again():
    signer = Signer.make("ECC_SECP384R1")
    checked = verifier(signer.properties(b"good", ID), signer)

    with Hashing(Stream(b"evil"), "sha512", Threads(), checked) as hashing:
        hashing.read(BLOCK)
        for _ in range(2):
            with pytest.raises(errors.SignatureRefused):
                hashing.read(BLOCK)
        with pytest.raises(errors.SignatureRefused):
            hashing.result()


def test_the_signature_of_another_key_is_none():
    signer, other = (Signer.make("ECC_SECP384R1", number=n) for n in (0, 1))

    checked = verifier(signer.properties(b"data", ID), other)

    with pytest.raises(errors.SignatureRefused):
        passed(b"data", checked)


def test_the_certificate_is_the_one_that_is_named_and_read_as_the_caller():
    signer = Signer.make()
    shelf = Kept(**{ID: signer})
    image = SimpleNamespace(id="i", properties=signer.properties(b"", ID.upper()))

    Signatures(shelf, Rules()).verifier(CTX, image)

    assert shelf.asked == [(CTX, ID)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(NAMES[0], "abcde", id="signature"),
        pytest.param(NAMES[0], "", id="no-signature"),
        pytest.param(NAMES[0], "ü", id="signature-not-ascii"),
        pytest.param(NAMES[1], "MD5", id="hash"),
        pytest.param(NAMES[1], "sha-256", id="hash-lower-case"),
        pytest.param(NAMES[2], "RSA", id="key-type"),
        pytest.param(NAMES[2], "ECC_SECP384R1", id="another-key-type"),
        pytest.param(NAMES[3], "../../secrets", id="path"),
        pytest.param(NAMES[3], "http://127.0.0.1/x", id="address"),
        *(pytest.param(name, None, id=f"{name}-null") for name in NAMES),
    ],
)
def test_a_bad_property_is_refused_before_a_byte_is_read(name, value):
    signer = Signer.make()
    properties = signer.properties(b"data", ID) | {name: value}

    with pytest.raises(errors.SignatureRefused):
        verifier(properties, signer)


def test_what_is_no_certificate_is_refused():
    shelf = Kept()
    shelf.kept[ID] = b"no certificate"
    image = SimpleNamespace(id="i", properties=Signer.make().properties(b"data", ID))

    with pytest.raises(errors.SignatureRefused, match="cannot be used"):
        Signatures(shelf, Rules()).verifier(CTX, image)


def test_a_signature_longer_than_its_key_is_refused():
    signer = Signer.make()
    properties = signer.properties(b"data", ID)
    longer = base64.b64decode(properties[NAMES[0]]) * 2
    properties[NAMES[0]] = base64.b64encode(longer).decode()

    with pytest.raises(errors.SignatureRefused):
        passed(b"data", verifier(properties, signer))


def test_an_image_without_signature_needs_no_certificate():
    assert verifier({"os_distro": "debian"}) is None


@pytest.mark.parametrize("name", NAMES)
def test_a_part_of_a_signature_passes_with_a_warning(name, caplog):
    properties = Signer.make().properties(b"data", ID)
    del properties[name]

    assert verifier(properties) is None
    assert name in caplog.text


@pytest.mark.parametrize("name", NAMES)
def test_a_part_of_a_signature_is_refused_where_operators_say_so(name):
    properties = Signer.make().properties(b"data", ID)
    del properties[name]

    with pytest.raises(errors.SignatureIncomplete, match=name):
        verifier(properties, rules=Rules(complete=True))


# --- authorities ---


@pytest.fixture(scope="module")
def authority():
    return Signer.make("RSA-PSS", "authority", number=1, is_authority=True)


@pytest.fixture
def trusting(authority, tmp_path):
    """Rules of a file with the authority in it, and one between it and the signers."""
    between = Signer.make(
        "RSA-PSS", "between", number=2, issuer=authority, is_authority=True
    )
    path = tmp_path / "authorities.pem"
    path.write_bytes(authority.pem + between.pem)
    options = {"require_complete": False, "trusted_ca_file": str(path)}
    return SimpleNamespace(rules=Rules.from_options(options), between=between)


def test_who_is_vouched_for_may_sign(authority, trusting):
    for issuer in (authority, trusting.between):
        signer = Signer.make("ECC_SECP384R1", issuer=issuer)

        checked = verifier(signer.properties(b"data", ID), signer, trusting.rules)

        assert passed(b"data", checked) == b"data"


def test_others_may_not(authority, trusting):
    expired = NOW - datetime.timedelta(hours=1)
    same_name = Signer.make("RSA-PSS", "authority", number=3, is_authority=True)
    signers = [
        Signer.make("ECC_SECP384R1"),
        Signer.make("ECC_SECP384R1", issuer=same_name),
        Signer.make("ECC_SECP384R1", issuer=authority, until=expired),
        Signer.make("ECC_SECP384R1", issuer=authority, until=NOW + 4 * DAY),
    ]

    for signer in signers:
        with pytest.raises(errors.SignatureRefused):
            verifier(signer.properties(b"data", ID), signer, trusting.rules)


def test_who_was_vouched_for_by_a_signer_may_not(authority, trusting):
    signer = Signer.make("ECC_SECP384R1", issuer=authority)
    friend = Signer.make("ECC_SECP384R1", "friend", number=1, issuer=signer)

    with pytest.raises(errors.SignatureRefused):
        verifier(friend.properties(b"data", ID), friend, trusting.rules)


def test_an_expired_certificate_will_do_without_authorities():
    signer = Signer.make(until=NOW - DAY)

    checked = verifier(signer.properties(b"data", ID), signer)

    assert passed(b"data", checked) == b"data"


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_file_without_authorities_ends_the_start(tmp_path, content):
    path = tmp_path / "authorities.pem"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(errors.Misconfigured, match="trusted_ca_file"):
        Rules.from_options({"require_complete": False, "trusted_ca_file": str(path)})
