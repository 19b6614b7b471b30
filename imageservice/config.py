"""Configuration: collects the options of all modules, finds and reads the files.

Files and options: contract operations.md §2. Nothing here is global: ``load`` returns
the object that ``service.build`` reads once.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from oslo_config import cfg, types
from oslo_log import log
from oslo_policy import opts as policy

from imageservice import __version__, certificates, configfile, errors
from imageservice.api import settings
from imageservice.data import inspect, signature
from imageservice.db import options as database
from imageservice.layers import properties, quota, registrar
from imageservice.limits import allowances, registered
from imageservice.notifications import events
from imageservice.outbound import rules as outbound
from imageservice.stores import configuration, endpoint, filesystem, http
from imageservice.stores.driver import Driver
from imageservice.stores.rbd import driver as rbd
from imageservice.wsgi import options as server

PROJECT = "imageservice"
API = "imageservice-api"

FOLDER_VARIABLES = ("IMAGESERVICE_CONFIG_DIR", "OS_GLANCE_CONFIG_DIR")
FOLDER = "/etc/imageservice"


class Algorithm(types.String):
    """The name of a hash with digests of fixed length."""

    def __call__(self, value: object) -> str:
        name = str(value)
        if name not in hashlib.algorithms_available or not _digest_size(name):
            known = ", ".join(sorted(hashlib.algorithms_guaranteed))
            raise ValueError(f"'{name}' is not a hash with a fixed length, of: {known}")
        return name


def _digest_size(name: str) -> int:
    return hashlib.new(name, usedforsecurity=False).digest_size


DATA_DIR = cfg.StrOpt(
    "data_dir",
    default="imageservice-data",
    help="Folder of the SQLite database when [database] connection is not set and, "
    "without any configuration file, of the images too. Made if it is missing, for this "
    "user alone. A relative name is taken from where the service is started.",
)

OPTS: Sequence[cfg.Opt] = (
    DATA_DIR,
    cfg.Opt(
        "hashing_algorithm",
        type=Algorithm(),
        default="sha512",
        help="Hash that is kept of new images as os_hash_value, beside the MD5 checksum. "
        "Images that exist keep theirs. Clients verify downloads with it, so it should "
        "be one that they know: sha256, sha384, sha512.",
    ),
)

PASTE_OPTS: Sequence[cfg.Opt] = (
    cfg.StrOpt(
        "flavor",
        help="Which pipeline of the Paste file to serve: the one of the application "
        "imageservice-api, a hyphen, and this. Unset: imageservice-api itself, which "
        "asks Keystone.",
    ),
    cfg.StrOpt(
        "config_file",
        help="The Paste file. Unset: the file beside the last configuration file whose "
        "name ends in -paste.ini instead of .conf, or else the one that is shipped.",
    ),
)

#: All of our options by section; those of each store are added when stores are known.
SECTIONS: Sequence[tuple[str, Sequence[cfg.Opt]]] = (
    ("DEFAULT", (*OPTS, *server.OPTS, *settings.OPTS, *configuration.OPTS)),
    (
        "DEFAULT",
        (
            *quota.OPTS,
            *registrar.OPTS,
            *allowances.OPTS,
            *events.OPTS,
            *properties.OPTS,
        ),
    ),
    ("paste_deploy", PASTE_OPTS),
    (database.GROUP, tuple(database.OPTS)),
    (inspect.GROUP, (*inspect.OPTS, *settings.IMAGE_FORMAT_OPTS)),
    (signature.GROUP, (*signature.OPTS, *certificates.OPTS)),
    (
        configuration.GROUP,
        (*configuration.GROUP_OPTS, *filesystem.File.OPTS, *http.Http.OPTS),
    ),
    (
        configuration.DEFAULTS,
        (*configuration.REDIRECT_OPTS, *filesystem.File.OPTS, *http.Http.OPTS),
    ),
    (events.GROUP, events.GROUP_OPTS),
    (outbound.GROUP, outbound.OPTS),
)

#: How sections begin that allow further origins, each with options of its own.
CORS_SECTIONS = "cors."

#: Those that the command line knows, too, beside --config-file and those of the log.
ON_COMMAND_LINE = ("data_dir", "bind_host", "bind_port", "bind_socket", "workers")


def load(
    files: Sequence[str | Path] = (),
    dirs: Sequence[str | Path] = (),
    args: Sequence[str] = (),
    program: str = API,
) -> cfg.ConfigOpts:
    """Read the configuration.

    Files are ``files`` and the ``*.conf`` of ``dirs``; without either those that the
    arguments ``args`` of a command line name, else those of the usual folder. With none
    at all this is development mode, see ``is_development``.

    Raises Misconfigured, in one line with file, section and remedy; SystemExit after
    ``--help`` and for arguments that are wrong.
    """
    if not files and not dirs:
        files, dirs = usual_files(program)
    conf = cfg.ConfigOpts()
    log.register_options(conf)
    policy.set_defaults(conf)
    for section, options in SECTIONS:
        conf.register_opts(options, group=_group(section))
        conf.register_cli_opts([_argument(o) for o in options if _on_command_line(o)])
    try:
        conf(
            list(args),
            project=PROJECT,
            prog=program,
            version=__version__,
            default_config_files=[str(path) for path in files],
            default_config_dirs=[str(path) for path in dirs],
        )
    except (cfg.Error, UnicodeDecodeError) as error:
        reason = f"{' '.join(str(error).split())}. Correct it, or name another file."
        raise errors.Misconfigured(reason=reason) from error
    find_policy(conf)
    _take_arguments(conf)
    _check(conf)
    if is_development(conf):
        _refuse_empty_folder(conf)
        _develop(conf)
    return conf


def _refuse_empty_folder(conf: cfg.ConfigOpts) -> None:
    """Who has a configuration folder does not want the defaults of development."""
    if conf.config_dir:
        raise errors.Misconfigured(
            reason=f"there is no file *.conf in {conf.config_dir[-1]}. Put one there, or"
            " remove the folder to start without any configuration."
        )


def _on_command_line(option: cfg.Opt) -> bool:
    return option.name in ON_COMMAND_LINE


def _argument(option: cfg.Opt) -> cfg.Opt:
    """The command line's form of an option: any text.

    An option of both forms at once would end the program over a bad value in a file
    without naming the file.
    """
    return cfg.StrOpt(
        option.name.replace("_", "-"),
        dest=f"{option.dest}_argument",
        metavar=option.dest.upper(),
        help=option.help,
    )


def _take_arguments(conf: cfg.ConfigOpts) -> None:
    for name in ON_COMMAND_LINE:
        given = conf.get_location(f"{name}_argument")
        if given is None or given.location is not cfg.Locations.command_line:
            continue
        try:
            conf.set_override(name, conf[f"{name}_argument"])
        except ValueError as error:
            reason = f"--{name.replace('_', '-')}: {error}. Correct the value."
            raise errors.Misconfigured(reason=reason) from error


def _group(section: str) -> str | None:
    return None if section == "DEFAULT" else section


def find_policy(conf: cfg.ConfigOpts) -> None:
    """Let the policy be found beside a usual folder of files when there is no main file.

    oslo.config looks beside files only: rules of an operator would count for nothing.
    """
    policy.set_defaults(conf)
    folder = Path(conf.config_dir[-1]) if conf.config_dir else None
    if conf.config_file or folder is None or folder.suffixes[-2:] != [".conf", ".d"]:
        return
    for option, name, given in (
        ("policy_file", "policy.yaml", str),
        ("policy_dirs", "policy.d", lambda path: [str(path)]),
    ):
        path = folder.absolute().parent / name
        if path.exists():
            conf.set_default(option, given(path), group="oslo_policy")


def usual_files(program: str) -> tuple[list[Path], list[Path]]:
    """Find what is in the configuration folder; the last of the files wins."""
    named = next((v for v in FOLDER_VARIABLES if os.environ.get(v)), None)
    folder = Path(os.environ[named] if named else FOLDER)
    first = "imageservice-image-import" if program == API else API
    paths = [folder / f"{name}.conf" for name in (first, program)]
    files = [path for path in paths if path.exists()]
    dirs = [path for path in (Path(f"{p}.d") for p in paths) if path.is_dir()]
    if named and not files and not dirs:
        # Who names a folder does not want the defaults of development.
        raise errors.Misconfigured(
            reason=f"{named}: there is no {API}.conf in {folder}."
            " Create it, or unset the variable."
        )
    return files, dirs


# --- what the files say --------------------------------------------------------------


def files(conf: cfg.ConfigOpts) -> list[Path]:
    """The main configuration files, in the order in which they were read."""
    return [Path(path) for path in conf.config_file or ()]


def _all_files(conf: cfg.ConfigOpts) -> Iterator[Path]:
    yield from files(conf)
    for folder in conf.config_dir or ():
        yield from sorted(Path(folder).glob("*.conf"))


def _check(conf: cfg.ConfigOpts) -> None:
    """Raise Misconfigured for options that do not exist and values that are none."""
    written = [e for path in _all_files(conf) for e in configfile.entries(path)]
    for section, options in SECTIONS:
        _check_values(conf, section, options, written)
    drivers = _drivers(conf)
    stores = list(_stores(conf, drivers))
    for section, options in stores:
        conf.register_opts(options, group=section)
        _check_values(conf, section, options, written)
    known: dict[str, set[str]] = {}
    for section, options in [*SECTIONS, *stores, *_of_libraries()]:
        known.setdefault(section, set()).update(configfile.names(options))
    for section in {entry.section for entry in written}:
        if section.startswith(CORS_SECTIONS):
            known[section] = known["cors"]
    unknown = _unknown(conf, drivers)
    configfile.check([e for e in written if e.section not in unknown], known)


def _check_values(
    conf: cfg.ConfigOpts,
    section: str,
    options: Iterable[cfg.Opt],
    written: list[configfile.Entry],
) -> None:
    for option in options:
        try:
            conf[section][option.dest] if _group(section) else conf[option.dest]
        except (cfg.NoSuchOptError, cfg.NoSuchGroupError):
            # Without the cause: what follows the $ is a piece of a password, mostly.
            raise errors.Misconfigured(
                reason=f"{_place(section, option, written)}: '$' and a word stand for"
                " the value of another option, and there is none of that name. Write"
                " '$$' for a '$'."
            ) from None
        except (cfg.ConfigFileValueError, ValueError) as error:
            cause = error.__cause__ or error.__context__ or error
            raise errors.Misconfigured(
                reason=f"{_place(section, option, written)}: {cause}. Correct the value."
            ) from error


def _place(section: str, option: cfg.Opt, written: list[configfile.Entry]) -> str:
    at = [
        entry.place
        for entry in written
        if entry.section == section and entry.option in configfile.names([option])
    ]
    return at[-1] if at else f"[{section}] {option.name}"


def _drivers(conf: cfg.ConfigOpts) -> dict[str, type[Driver] | None]:
    """The drivers of all stores. Raises Misconfigured.

    None where a library is missing: whether the service starts without it is for
    ``stores/configuration.py`` to say.
    """
    found: dict[str, type[Driver] | None] = {}
    for store, (kind, asked_by) in configuration.kinds(conf).items():
        try:
            found[store] = configuration.driver_class(kind, asked_by)
        except errors.LibraryMissing:
            found[store] = None
    return found


def _stores(
    conf: cfg.ConfigOpts, drivers: Mapping[str, type[Driver] | None]
) -> Iterator[tuple[str, Sequence[cfg.Opt]]]:
    """The sections of stores, by what their drivers say."""
    for store, driver in drivers.items():
        options = driver.OPTS if driver is not None else ()
        if conf.enabled_backends:
            yield store, (*configuration.STORE_OPTS, *options)
            yield configuration.DEFAULTS, options
        else:
            yield configuration.GROUP, (*configuration.REDIRECT_OPTS, *options)


def _unknown(
    conf: cfg.ConfigOpts, drivers: Mapping[str, type[Driver] | None]
) -> set[str]:
    """The sections in which drivers take options that cannot be loaded to tell them."""
    missing = {store for store, driver in drivers.items() if driver is None}
    if not missing:
        return set()
    if conf.enabled_backends:
        return {*missing, configuration.DEFAULTS}
    return {configuration.GROUP}


def _of_libraries() -> Iterator[tuple[str, Sequence[cfg.Opt]]]:
    """The options of libraries that tell them all; keystonemiddleware cannot."""
    lists = metadata.entry_points(group="oslo.config.opts")
    for library in ("oslo.log", "oslo.policy", "oslo.middleware"):
        for group, options in lists[library].load()():
            yield str(group or "DEFAULT"), options


# --- development mode ----------------------------------------------------------------


def is_development(conf: cfg.ConfigOpts) -> bool:
    """Tell whether there is no configuration at all: then every caller is an admin."""
    return next(_all_files(conf), None) is None


def _develop(conf: cfg.ConfigOpts) -> None:
    images = Path(conf.data_dir).absolute() / "images"
    conf.set_default("filesystem_store_datadir", str(images), group=configuration.GROUP)
    conf.set_default("bind_host", "127.0.0.1")


def database_url(conf: cfg.ConfigOpts) -> str:
    """The database's URL; SQLite in the data folder, which is made, if none is set.

    Raises Misconfigured when a configuration file leaves both out.
    """
    if conf.database.connection:
        return str(conf.database.connection)
    given = conf.get_location("data_dir")
    is_default = given is None or given.location is cfg.Locations.opt_default
    if is_default and not is_development(conf):
        raise errors.Misconfigured(
            reason=f"{files(conf)[-1] if files(conf) else 'configuration'}, [database]"
            " connection: is not set. Set it, or set data_dir for SQLite in that folder."
        )
    folder = Path(conf.data_dir).absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise errors.Misconfigured(
            reason=f"data_dir: {error}. Name another folder."
        ) from error
    return f"sqlite:///{folder}/imageservice.sqlite"


# --- the log and the sample ----------------------------------------------------------


def setup_logging(conf: cfg.ConfigOpts, *, forks: bool = False) -> None:
    """Log as the options say; to standard error if they name no other place.

    ``forks`` for a process that forks others: it gets none of the locks that oslo.log
    makes for greenlets, which its children would share with it.
    """
    elsewhere = (
        "log_file",
        "log_dir",
        "use_syslog",
        "use_journal",
        "log_config_append",
    )
    if not any(conf[name] for name in elsewhere):
        conf.set_default("use_stderr", True)
    # Their steps at every start say nothing to operators; db/schema.py tells what it did.
    quiet = ("alembic=WARNING", "oslo_service.backend=WARNING")
    levels = [*log.get_default_log_levels(), *quiet]
    conf.set_default("default_log_levels", levels)
    log.setup(conf, PROJECT, __version__, fix_eventlet=not forks)


def list_opts() -> list[tuple[object, Sequence[cfg.Opt]]]:
    """All options for the sample file (entry point)."""
    example = cfg.OptGroup(
        "fast",
        help="One section for each store of enabled_backends, named by its id; here for "
        "enabled_backends = fast:file. What it leaves out is taken from "
        f"[{configuration.DEFAULTS}].",
    )
    s3 = cfg.OptGroup(
        "cold",
        help="What a store of kind s3 takes besides, for enabled_backends = cold:s3.",
    )
    ceph = cfg.OptGroup(
        "block",
        help="What a store of kind rbd takes besides, for enabled_backends = block:rbd.",
    )
    stores = (*configuration.STORE_OPTS, *filesystem.File.OPTS)
    limits = cfg.OptGroup(
        registered.GROUP,
        help="Where unified limits are read, with use_keystone_limits.",
    )
    return [
        *SECTIONS,
        (example, stores),
        (s3, endpoint.OPTS),
        (ceph, rbd.Rbd.OPTS),
        (limits, registered.SAMPLE),
    ]
