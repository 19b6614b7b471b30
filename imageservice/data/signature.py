"""Signatures of images: what their properties say, and whether the bytes are what was signed.

The rules are those of contract images.md §18.3. Keys, hashes and formats of signatures are
cursive's; it is an extra, and without it nothing that claims to be signed is accepted.
"""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from oslo_config import cfg

from imageservice import errors
from imageservice.context import Context
from imageservice.data.hashing import Verifier
from imageservice.domain.image import SIGNATURE_PROPERTIES as NAMES
from imageservice.domain.image import Image

if TYPE_CHECKING:
    from cryptography import x509

LOG = logging.getLogger(__name__)

GROUP = "image_signature"
EXTRA = "imageservice[signatures]"

OPTS: Sequence[cfg.Opt] = (
    cfg.BoolOpt(
        "require_complete",
        default=False,
        help="Refuse the data of an image that has some but not all of the four "
        "properties img_signature, img_signature_hash_method, img_signature_key_type and "
        "img_signature_certificate_uuid. False accepts it without any verification, as "
        "other image services do, and logs a warning; true is the safer choice. An image "
        "with any of them never gets its data by registering a location.",
    ),
    cfg.StrOpt(
        "trusted_ca_file",
        help="PEM file with the certificates of authorities. Certificates of signatures "
        "must lead to one of them, through others of this file if need be, and be within "
        "their dates. Unset: every certificate will do that the uploading user may read "
        "in the key manager, expired ones too; then a signature says no more than that "
        "the bytes are those that somebody with that key has signed.",
    ),
)


class Signature(NamedTuple):
    """The values of SIGNATURE_PROPERTIES in their order; None where one is null."""

    value: str | None  # base64
    hash_method: str | None
    key_type: str | None
    certificate_id: str | None


class Certificates(Protocol):
    """Where certificates are kept."""

    def get(self, ctx: Context, certificate_id: str) -> bytes:
        """Return an X.509 certificate in DER, as the caller may read it.

        Raises SignatureRefused if there is none, CertificateUnavailable.
        """
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Rules:
    """How strict to be; see OPTS."""

    complete: bool = False
    authorities: "tuple[x509.Certificate, ...]" = ()  # empty: any will do

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """Take the values of OPTS, by option name. Raises Misconfigured."""
        path = options["trusted_ca_file"]
        authorities = _authorities(Path(path)) if path else ()
        return cls(options["require_complete"], authorities)


def _authorities(path: Path) -> "tuple[x509.Certificate, ...]":
    try:
        from cryptography import x509

        return tuple(x509.load_pem_x509_certificates(path.read_bytes()))
    except ImportError as error:
        trouble = f"{error}. Install the extra {EXTRA}"
    except OSError as error:
        trouble = f"{error}"
    except ValueError:
        trouble = f"{path} holds no certificates in PEM"
    reason = f"[{GROUP}] trusted_ca_file: {trouble}."
    raise errors.Misconfigured(reason=reason)


class Signatures:
    """Finds out what an image's bytes are to be verified with."""

    def __init__(self, certificates: Certificates, rules: Rules) -> None:
        self._certificates = certificates
        self._rules = rules

    def verifier(self, ctx: Context, image: Image) -> Verifier | None:
        """Return what verifies the bytes of ``image``, None if it is not signed.

        Fetches the certificate, with the caller's token. Raises SignatureRefused,
        SignatureIncomplete, CertificateUnavailable.
        """
        missing = [name for name in NAMES if name not in image.properties]
        if not missing:
            return self._build(ctx, image)
        if len(missing) < len(NAMES):
            names = ", ".join(missing)
            if self._rules.complete:
                raise errors.SignatureIncomplete(image_id=image.id, missing=names)
            LOG.warning("image %s: not verified, it lacks %s", image.id, names)
        return None

    def _build(self, ctx: Context, image: Image) -> Verifier:
        try:
            from imageservice.data import verification
        except ImportError as error:
            LOG.error("image %s: %s. Install the extra %s", image.id, error, EXTRA)
            raise errors.SignatureRefused(
                reason="this service cannot verify signatures. Ask its operator to change "
                "that, or remove the properties that begin with img_signature"
            ) from error
        signature = Signature(*(image.properties[name] for name in NAMES))
        recipe = verification.Recipe.of(signature)
        certificate = self._certificates.get(ctx, recipe.certificate_id)
        return recipe.verifier(certificate, self._rules.authorities)
