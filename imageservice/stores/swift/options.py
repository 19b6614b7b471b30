"""The options of a swift store, under the names they are published by (operations.md §2.6)."""

from collections.abc import Sequence

from oslo_config import cfg

OPTS: Sequence[cfg.Opt] = (
    cfg.StrOpt(
        "swift_store_config_file",
        secret=True,
        help="File with the accounts (references), one section each: auth_address, user "
        "(project:user) and key, or application_credential_id and "
        "application_credential_secret; project_name or project_id; user_domain_id or "
        "user_domain_name, project_domain_id or project_domain_name (default: the domain "
        "whose id is 'default'). If unset the swift_store_… options name the only account.",
    ),
    cfg.StrOpt(
        "default_swift_reference",
        default="ref1",
        help="The reference that new images go to. It is part of their locations: keep "
        "the name as long as there are such images; the section behind it may change.",
    ),
    cfg.StrOpt(
        "swift_store_auth_address",
        help="Address of Keystone, https://keystone.example:5000/v3. Without a scheme "
        "it is https.",
    ),
    cfg.StrOpt(
        "swift_store_user",
        secret=True,
        help="Account as project:user, or a user with swift_store_project_name or _id.",
    ),
    cfg.StrOpt("swift_store_key", secret=True, help="Password of swift_store_user."),
    cfg.StrOpt(
        "swift_store_application_credential_id",
        help="Id of an application credential, in place of a user and a key.",
    ),
    cfg.StrOpt(
        "swift_store_application_credential_secret",
        secret=True,
        help="Secret of that application credential.",
    ),
    cfg.StrOpt("swift_store_project_name", help="Project of swift_store_user."),
    cfg.StrOpt("swift_store_project_id", help="Its id, in place of its name."),
    cfg.StrOpt(
        "swift_store_auth_version",
        default="3",
        choices=["1", "3"],
        help="3 for Keystone; 1 for a Swift or a radosgw that keeps users of its own.",
    ),
    cfg.StrOpt(
        "swift_store_container",
        default="glance",
        help="Container of the images, or the beginning of the containers' names with "
        "swift_store_multiple_containers_seed. Images stored before it was changed "
        "are still found.",
    ),
    cfg.IntOpt(
        "swift_store_multiple_containers_seed",
        default=0,
        min=0,
        max=32,
        help="So many first characters of an image's id choose its container: 0 one "
        "container for all, 1 sixteen, 2 two hundred and fifty-six. More than one "
        "container spreads the load of listings where there are many images.",
    ),
    cfg.BoolOpt(
        "swift_store_create_container_on_put",
        default=False,
        help="Make a container that is missing. If false, make them before the start. "
        "With swift_store_multi_tenant it is needed in every project's account.",
    ),
    cfg.IntOpt(
        "swift_store_large_object_size",
        default=5120,
        min=1,
        help="MiB from which on an image is cut into segments; smaller ones are one. Those "
        "of unknown size are always cut, and so is what has more than 5120 MiB: most Swifts "
        "take no more in one piece.",
    ),
    cfg.IntOpt(
        "swift_store_large_object_chunk_size",
        default=200,
        min=1,
        help="MiB of a segment, 5120 at most. Raised for images that would have more than 1000 of them. "
        "They are streamed, so it costs no memory. A small one loses less when an "
        "upload's connection breaks, a large one saves requests.",
    ),
    cfg.BoolOpt(
        "swift_store_multi_tenant",
        default=False,
        help="Store an image in the Swift account of the project that owns it, where it "
        "counts against that project's quota. The user of this store needs the role "
        "ResellerAdmin; nobody's token is used. Projects can change and remove what lies "
        "in their accounts: images that were changed are no longer served. Images stored "
        "before it was turned on or off stay where they are, and are found.",
    ),
    cfg.ListOpt(
        "swift_store_admin_tenants",
        default=[],
        help="With swift_store_multi_tenant: ids of projects whose users may read and "
        "write in the containers that are made in the accounts of others. None is needed.",
    ),
    cfg.BoolOpt(
        "swift_store_use_trusts",
        default=True,
        help="Accepted and not used: with swift_store_multi_tenant this store acts as its "
        "own user, so that no upload outlives a token.",
    ),
    cfg.IntOpt(
        "swift_store_expire_soon_interval",
        default=60,
        min=0,
        help="Seconds before the end of a token when a new one is fetched. More than "
        "clocks differ and a request takes to begin.",
    ),
    cfg.IntOpt(
        "swift_store_retry_get_count",
        default=3,
        min=0,
        help="How often a download that broke in the middle goes on from there over a "
        "new connection before it is given up. 0 gives up at once.",
    ),
    cfg.BoolOpt(
        "swift_buffer_on_upload",
        default=False,
        help="Not supported: segments buffered on disk. The start is refused.",
    ),
    cfg.StrOpt(
        "swift_upload_buffer_dir",
        help="Accepted and not used: for swift_buffer_on_upload only.",
    ),
    cfg.StrOpt("swift_store_region", help="Region of the endpoint in the catalog."),
    cfg.StrOpt(
        "swift_store_endpoint",
        help="The account's address, https://swift.example/v1/AUTH_…, in place of the "
        "catalog's endpoint.",
    ),
    cfg.StrOpt(
        "swift_store_endpoint_type",
        default="publicURL",
        choices=["publicURL", "internalURL", "adminURL"],
        help="Which endpoint of the catalog.",
    ),
    cfg.StrOpt(
        "swift_store_service_type",
        default="object-store",
        help="Type of the service in the catalog.",
    ),
    cfg.StrOpt(
        "swift_store_temp_url_key",
        secret=True,
        help="With redirect = true: the key for temporary URLs of the store's own account "
        "or container (X-Account-Meta-Temp-URL-Key). If unset the account is asked for "
        "its key at each redirect, so that a new one counts at once. Accounts of projects "
        "(swift_store_multi_tenant) are always asked for theirs; what lies in one without "
        "a key passes this service.",
    ),
    cfg.StrOpt(
        "swift_store_temp_url_digest",
        default="sha256",
        choices=["sha1", "sha256", "sha512"],
        help="How temporary URLs are signed: one of allowed_digests of Swift's tempurl. "
        "Ceph's gateway takes sha1 alone (seen with 16.2).",
    ),
    cfg.StrOpt(
        "swift_store_redirect_endpoint",
        help="The account's address for clients, with redirect = true: "
        "https://swift.example/v1/AUTH_…. If unset, the one that this service uses. It "
        "has to be that of the store's own account; in others the id is replaced. With "
        "http the images, and the tokens of most clients, can be read on their way.",
    ),
    cfg.StrOpt(
        "swift_store_cacert",
        help="File with the certificates by which Swift and Keystone are verified, in "
        "place of those of the system.",
    ),
    cfg.BoolOpt(
        "swift_store_auth_insecure",
        default=False,
        help="Verify no certificate. Only for trying things out.",
    ),
    cfg.BoolOpt(
        "swift_store_ssl_compression",
        default=True,
        help="Accepted and not used: TLS is never compressed.",
    ),
    cfg.IntOpt(
        "swift_store_timeout",
        default=60,
        min=1,
        help="Seconds without a byte, from or to Swift or Keystone, after which a request "
        "is given up. It has to be longer than Swift's own node_timeout (10 s) and than "
        "it takes to store the end of a segment.",
    ),
)
