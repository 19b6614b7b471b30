"""What oslo.policy's commands (``oslopolicy-list-redundant``, …) ask us for."""

from typing import Any

from oslo_config import cfg

from imageservice import config
from imageservice.policy.files import for_tools


def rules_in_force() -> Any:
    """Return the enforcer of the daemon's own files (entry point).

    The files are those of the command's ``--config-file`` and ``--config-dir``, else
    the daemon's usual ones.
    """
    # The commands hand nothing over: what they were told is in the global object.
    tool = cfg.CONF
    told = [
        f"--{option.replace('_', '-')}={path}"
        for option in ("config_file", "config_dir")
        for path in getattr(tool, option, None) or ()
    ]
    files, folders = ([], []) if told else config.usual_files(config.API)
    conf = cfg.ConfigOpts()
    conf(
        told,
        project=config.PROJECT,
        prog=config.API,
        default_config_files=[str(path) for path in files],
        default_config_dirs=[str(path) for path in folders],
    )
    config.find_policy(conf)
    return for_tools(conf, tool)
