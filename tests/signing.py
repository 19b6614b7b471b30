"""Whoever signs images: keys of every type, certificates for them, and signatures."""

import base64
import datetime
import functools
from typing import Any, NamedTuple, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa

from imageservice import errors
from imageservice.domain.image import SIGNATURE_PROPERTIES as NAMES

HASHES = {
    "SHA-224": hashes.SHA224(),
    "SHA-256": hashes.SHA256(),
    "SHA-384": hashes.SHA384(),
    "SHA-512": hashes.SHA512(),
}

#: The curves of the contract that the installed library still has.
CURVES = ("SECT571K1", "SECT409K1", "SECT571R1", "SECT409R1", "SECP521R1", "SECP384R1")
KEY_TYPES = ("RSA-PSS", "DSA", *(f"ECC_{c}" for c in CURVES if hasattr(ec, c)))

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


@functools.cache
def key_of(key_type: str, number: int = 0) -> Any:  # the library's types have no base
    """A key of its own for each ``number``; short ones, for they are quickly made."""
    if key_type == "RSA-PSS":
        return rsa.generate_private_key(65537, 2048)
    if key_type == "DSA":
        return dsa.generate_private_key(1024)
    return ec.generate_private_key(getattr(ec, key_type.removeprefix("ECC_"))())


class Signer(NamedTuple):
    """A key, and a certificate for it."""

    key_type: str
    key: Any
    certificate: x509.Certificate

    @classmethod
    def make(
        cls,
        key_type: str = "RSA-PSS",
        name: str = "signer",
        *,
        number: int = 0,
        issuer: "Signer | None" = None,
        is_authority: bool = False,
        until: datetime.datetime = NOW + DAY,
    ) -> Self:
        """Certified by itself unless there is an ``issuer``."""
        key = key_of(key_type, number)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(until - 3 * DAY)
            .not_valid_after(until)
        )
        if is_authority:
            usage = dict.fromkeys(USAGES, False) | {"key_cert_sign": True}
            builder = builder.add_extension(
                x509.BasicConstraints(ca=True, path_length=None), critical=True
            ).add_extension(x509.KeyUsage(**usage), critical=True)
        certificate = builder.sign(issuer.key if issuer else key, hashes.SHA256())
        return cls(key_type, key, certificate)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def sign(self, data: bytes, method: str = "SHA-256") -> str:
        """The value of ``img_signature`` for ``data``."""
        algorithm = HASHES[method]
        if self.key_type == "RSA-PSS":
            salted = padding.PSS(padding.MGF1(algorithm), padding.PSS.MAX_LENGTH)
            signature = self.key.sign(data, salted, algorithm)
        elif self.key_type == "DSA":
            signature = self.key.sign(data, algorithm)
        else:
            signature = self.key.sign(data, ec.ECDSA(algorithm))
        return base64.b64encode(signature).decode()

    def properties(
        self, data: bytes, certificate_id: str, method: str = "SHA-256"
    ) -> dict[str, str]:
        """The four properties of an image that is to hold ``data``."""
        values = (self.sign(data, method), method, self.key_type, certificate_id)
        return dict(zip(NAMES, values, strict=True))


class Kept:
    """A key manager in memory: DER by id in ``kept``, and who asked for which of them."""

    def __init__(self, **signers: Signer) -> None:
        self.kept = {name: signer.der for name, signer in signers.items()}
        self.asked: list[tuple[object, str]] = []

    def get(self, ctx: object, certificate_id: str) -> bytes:
        """See ``data.signature.Certificates``."""
        self.asked.append((ctx, certificate_id))
        if certificate_id not in self.kept:
            raise errors.SignatureRefused(reason=f"there is no {certificate_id}")
        return self.kept[certificate_id]


USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
    "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip
