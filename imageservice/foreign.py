"""Options of other image services that operators' files may hold (operations.md §2).

They are known by name so that a file can be taken over: some have no effect here, and
some we must refuse, because to ignore them would grant what they were to forbid.
"""

from collections.abc import Mapping

#: Sections of libraries; they know their own options.
LIBRARIES = frozenset(
    {
        "keystone_authtoken", "cors", "healthcheck", "oslo_middleware", "oslo_policy",
        "oslo_concurrency", "oslo_messaging_amqp", "oslo_messaging_kafka",
        "oslo_messaging_metrics",
        "oslo_limit", "oslo_messaging_rabbit", "service_user", "cache",
        "audit_middleware_notifications", "profiler", "profiler_jaeger",
        "profiler_otlp", "key_manager", "barbican", "barbican_service_user", "vault",
    }
)  # fmt: skip

#: Sections of features that are not there: accepted as a whole, without effect.
SECTIONS = frozenset(
    {
        "task", "taskflow_executor", "wsgi", "image_import_opts",
        "glance_download_properties",
        "inject_metadata_properties", "image_conversion", "oslo_reports",
        "os_glance_staging_store", "os_glance_tasks_store",
    }
)  # fmt: skip

_WITHOUT_EFFECT = {
    "DEFAULT": (
        "enabled_import_methods worker_self_reference_url node_staging_uri"
        " scrub_time scrub_pool_size wakeup_time daemon"
        " restore image_cache_dir image_cache_driver image_cache_max_size"
        " image_cache_stall_time image_cache_sqlite_db metadata_source_path"
        " digest_algorithm pydev_worker_debug_host pydev_worker_debug_port"
        " rpc_response_timeout rpc_conn_pool_size"
        " executor_thread_pool_size admin_role location_strategy enable_v1_api"
        " enable_v2_api enable_v1_registry enable_v2_registry data_api registry_host"
        " registry_port allow_additional_image_properties secure_proxy_ssl_header"
        " enabled_import_plugins"
    ),
    "database": (
        "backend use_db_reconnect connection_trace mysql_enable_ndb"
        " sqlite_db mysql_ndb_enable idle_timeout min_pool_size"
    ),
    "oslo_policy": "enforce_scope",
    # Each store's own: contract operations.md §2.6.
    "backend_defaults": "store_description weight",
}

#: Options that are accepted and change nothing, as (section, option).
WITHOUT_EFFECT = frozenset(
    (section, option)
    for section, options in _WITHOUT_EFFECT.items()
    for option in options.split()
)

_FALSE = frozenset({"", "false", "0", "no", "off"})

#: What would be lost by ignoring an option, and the values that mean the same as nothing.
REFUSED: Mapping[tuple[str, str], tuple[frozenset[str], str]] = {
    ("DEFAULT", "owner_is_tenant"): (
        frozenset({"true", "1", "yes", "on"}),
        "images belong to projects here, not to users",
    ),
    ("DEFAULT", "delayed_delete"): (
        _FALSE,
        "data is deleted at once here, it could not be restored",
    ),
    ("DEFAULT", "metadata_encryption_key"): (
        frozenset({""}),
        "encrypted locations cannot be read here",
    ),
    ("DEFAULT", "cert_file"): (frozenset({""}), "TLS is set up with tls_cert_file"),
    ("DEFAULT", "key_file"): (frozenset({""}), "TLS is set up with tls_key_file"),
}
