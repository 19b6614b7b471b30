"""What a swift store was told: checked values, and the accounts of the references file."""

import configparser
import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

from imageservice import errors
from imageservice.stores.driver import BLOCK

DOMAIN = "default"
"""Id of the domain of users and projects for which none is named."""

REFUSED = {
    "swift_buffer_on_upload": "segments are streamed and cannot be buffered on disk",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Login:
    """An account and how to get into it. ``None`` is what was not told."""

    address: str
    version: str = "3"
    user: str | None = None
    key: str = dataclasses.field(default="", repr=False)
    credential: str | None = None
    secret: str = dataclasses.field(default="", repr=False)
    project_name: str | None = None
    project_id: str | None = None
    user_domain_id: str | None = None
    user_domain_name: str | None = None
    project_domain_id: str | None = None
    project_domain_name: str | None = None

    @property
    def who(self) -> str:
        """The account for people; two stores of one account have the same."""
        project = self.project_id or self.project_name or self.user
        return f"{self.credential or project} at {self.address}"


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    logins: Mapping[str, Login]
    """By reference."""
    reference: str
    """The one for new images."""
    container: str
    seed: int
    create: bool
    large: int
    """Bytes."""
    chunk: int
    """Bytes."""
    tenants: bool
    """Whether images lie in the accounts of their owners."""
    admins: Sequence[str]
    """Ids of projects that may use the containers in those accounts."""
    retries: int
    timeout_s: int
    renew_s: int
    region: str | None
    endpoint: str | None
    redirect_endpoint: str | None
    temp_url_key: str | None = dataclasses.field(repr=False)
    temp_url_digest: str
    interface: str
    service: str
    verify: bool | str
    """False, True, or a file of certificates."""


def settings(name: str, options: Mapping[str, Any]) -> Settings:
    """Check the values of a store's options. Raises Misconfigured."""
    for option, reason in REFUSED.items():
        if options[option]:
            raise _wrong(name, f"{option}: {reason}")
    container = options["swift_store_container"]
    if not container or "/" in container or len(container) > 200:
        raise _wrong(name, f"swift_store_container = {container!r} is no name of one")
    reference = options["default_swift_reference"]
    if not reference or "/" in reference or not reference.isprintable():
        raise _wrong(name, f"default_swift_reference = {reference!r} is no plain name")
    logins = _logins(name, options, reference)
    if reference not in logins:
        known = ", ".join(logins)
        reason = f"default_swift_reference = {reference} is not in {options['swift_store_config_file']}: {known}"
        raise _wrong(name, reason)
    if options["swift_store_multi_tenant"] and logins[reference].version == "1":
        reason = (
            "swift_store_multi_tenant: accounts of projects need Keystone (version 3)"
        )
        raise _wrong(name, reason)
    cacert = options["swift_store_cacert"]
    if cacert and not os.path.isfile(cacert):
        raise _wrong(name, f"swift_store_cacert = {cacert} is no file")
    return Settings(
        logins=logins,
        reference=reference,
        container=container,
        seed=options["swift_store_multiple_containers_seed"],
        create=options["swift_store_create_container_on_put"],
        large=options["swift_store_large_object_size"] * BLOCK,
        chunk=options["swift_store_large_object_chunk_size"] * BLOCK,
        tenants=options["swift_store_multi_tenant"],
        admins=tuple(options["swift_store_admin_tenants"]),
        retries=options["swift_store_retry_get_count"],
        timeout_s=options["swift_store_timeout"],
        renew_s=options["swift_store_expire_soon_interval"],
        region=options["swift_store_region"],
        endpoint=options["swift_store_endpoint"],
        redirect_endpoint=options["swift_store_redirect_endpoint"],
        temp_url_key=options["swift_store_temp_url_key"],
        temp_url_digest=options["swift_store_temp_url_digest"],
        interface=options["swift_store_endpoint_type"],
        service=options["swift_store_service_type"],
        verify=False if options["swift_store_auth_insecure"] else cacert or True,
    )


def _logins(name: str, options: Mapping[str, Any], reference: str) -> dict[str, Login]:
    path = options["swift_store_config_file"]
    if path is None:
        fields = {
            key: options[f"swift_store_{key}"]
            for key in ("auth_address", "user", "key", "project_name", "project_id")
        }
        for key in ("application_credential_id", "application_credential_secret"):
            fields[key] = options[f"swift_store_{key}"]
        fields["auth_version"] = options["swift_store_auth_version"]
        return {reference: _login(name, "swift_store_", fields)}
    # No interpolation: a password may hold a percent sign.
    file = configparser.ConfigParser(interpolation=None)
    try:
        with open(path, encoding="utf-8") as lines:
            file.read_file(lines)
    except (OSError, UnicodeDecodeError) as error:
        raise _wrong(name, f"swift_store_config_file: {error}") from error
    except configparser.Error as error:
        # Its own words may quote a line with a password.
        kind = type(error).__name__
        raise _wrong(
            name, f"swift_store_config_file: {path} is no INI file ({kind})"
        ) from None
    return {
        section: _login(
            name,
            f"{path}: [{section}] ",
            {"auth_version": options["swift_store_auth_version"], **file[section]},
        )
        for section in file.sections()
    }


def _login(name: str, place: str, fields: Mapping[str, str | None]) -> Login:
    """``place`` begins the names of the fields in what operators are told."""
    get = fields.get
    address, version = get("auth_address"), get("auth_version") or "3"
    if not address:
        raise _wrong(name, f"{place}auth_address is not set")
    if version not in ("1", "3"):
        raise _wrong(name, f"{place}auth_version = {version} is not 1 or 3")
    if "://" not in address:
        address = f"https://{address}"
    address = address.rstrip("/")
    credential, secret = (
        get("application_credential_id"),
        get("application_credential_secret"),
    )
    if bool(credential) != bool(secret):
        raise _wrong(
            name, f"{place}application_credential_id and _secret belong together"
        )
    if version == "1":
        if not get("user") or not get("key"):
            raise _wrong(name, f"{place}user and {place}key are needed")
        return Login(address, version, get("user"), get("key") or "")
    if not address.endswith("/v3"):
        address += "/v3"
    if credential and secret:
        return Login(address, credential=credential, secret=secret)
    return _of_user(name, place, address, fields)


def _of_user(
    name: str, place: str, address: str, fields: Mapping[str, str | None]
) -> Login:
    get = fields.get
    project, colon, user = (get("user") or "").partition(":")
    if not colon:
        project, user = get("project_name") or "", project
    if not user or not get("key") or not (project or get("project_id")):
        raise _wrong(
            name,
            f"{place}user = project:user and {place}key are needed, or an application credential",
        )
    return Login(
        address,
        user=user,
        key=get("key") or "",
        project_id=get("project_id"),
        project_name=None if get("project_id") else get("project_name") or project,
        user_domain_name=get("user_domain_name"),
        user_domain_id=_domain(get("user_domain_id"), get("user_domain_name")),
        project_domain_name=get("project_domain_name"),
        project_domain_id=_domain(get("project_domain_id"), get("project_domain_name")),
    )


def _domain(key: str | None, name: str | None) -> str | None:
    return key or (None if name else DOMAIN)


def _wrong(name: str, reason: str) -> errors.Misconfigured:
    return errors.Misconfigured(reason=f"store '{name}': {reason}")
