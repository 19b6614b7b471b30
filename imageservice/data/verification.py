"""Verifiers of signatures, built with cursive; to import this needs the extra."""

import logging
import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

from cryptography import exceptions, x509
from cryptography.hazmat.primitives import hashes
from cursive import certificate_utils as chains
from cursive import signature_utils as formats
from cursive.exception import SignatureVerificationError

from imageservice import errors
from imageservice.data.signature import Signature
from imageservice.domain.image import SIGNATURE_PROPERTIES as NAMES
from imageservice.stores.driver import Buffer

LOG = logging.getLogger(__name__)

#: What a certificate can be that somebody made himself, beside being wrong by cursive.
UNUSABLE = (
    SignatureVerificationError,
    exceptions.UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    ValueError,
    TypeError,
)


class Recipe(NamedTuple):
    """All that a verifier is made of but the key, which is in the certificate."""

    signature: bytes
    hash_method: hashes.HashAlgorithm
    key_type: formats.SignatureKeyType
    certificate_id: str

    @classmethod
    def of(cls, signature: Signature) -> Self:
        """Understand the properties. Raises SignatureRefused, naming the one that is wrong."""
        return cls(
            _read(NAMES[0], formats.get_signature, signature.value),
            _read(NAMES[1], formats.get_hash_method, signature.hash_method),
            _read(NAMES[2], formats.SignatureKeyType.lookup, signature.key_type),
            # A part of an address in the key manager: nothing else may get into it.
            _read(
                NAMES[3], lambda value: str(uuid.UUID(value)), signature.certificate_id
            ),
        )

    def verifier(
        self, certificate: bytes, authorities: Sequence[x509.Certificate]
    ) -> "Verifier":
        """Take the key out of a certificate in DER, if one of ``authorities`` vouches for it.

        Without authorities any will do. Raises SignatureRefused.
        """
        try:
            found = x509.load_der_x509_certificate(certificate)
            if authorities:
                _vouch(found, authorities)
            key = found.public_key()
            if not isinstance(key, self.key_type.public_key_type):
                raise ValueError(f"its key is not one for {self.key_type.name}")
            made = self.key_type.create_verifier(self.signature, self.hash_method, key)
        except UNUSABLE as error:
            reason = f"the certificate {self.certificate_id} cannot be used: {error}"
            raise errors.SignatureRefused(reason=reason) from error
        return Verifier(made)


def _read(name: str, understand: Callable[[str], Any], value: str | None) -> Any:
    """Any: each property becomes something else."""
    try:
        if not value:
            raise ValueError("it is empty")
        return understand(value)
    except (SignatureVerificationError, ValueError, TypeError) as error:
        reason = f"{name}: {error}"
        raise errors.SignatureRefused(reason=reason) from error


def _vouch(
    certificate: x509.Certificate, authorities: Sequence[x509.Certificate]
) -> None:
    """Raise SignatureVerificationError unless the certificate is valid today, and theirs."""
    context = chains.CertificateVerificationContext(
        [(authority.subject.rfc4514_string(), authority) for authority in authorities]
    )
    context.update(certificate)
    context.verify()


class Verifier:
    """See ``hashing.Verifier``."""

    def __init__(self, made: Any) -> None:  # one of cursive's, which has no types
        self._made = made

    def update(self, block: Buffer, /) -> None:
        self._made.update(block)

    def verify(self) -> None:
        """Raise SignatureRefused unless the bytes so far are what was signed."""
        try:
            self._made.verify()
        except (exceptions.InvalidSignature, exceptions.AlreadyFinalized) as error:
            # The second is for who asks again after a refusal.
            reason = "the data is not what was signed with this key"
            raise errors.SignatureRefused(reason=reason) from error
        except (ValueError, exceptions.UnsupportedAlgorithm) as error:
            raise errors.SignatureRefused(reason=f"{error}") from error
