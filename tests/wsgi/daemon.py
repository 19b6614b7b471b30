"""The server with the test application, as a process: ``python -m tests.wsgi.daemon FOLDER``.

FOLDER holds ``settings.json``, which is read anew by each worker.
"""

import json
import logging
import sys
from pathlib import Path

from imageservice import errors
from imageservice.wsgi.options import Settings
from imageservice.wsgi.supervisor import Supervisor
from imageservice.wsgi.worker import Built


def main():
    folder = Path(sys.argv[1])
    logging.basicConfig(
        level=logging.INFO, format="%(process)d %(levelname)s %(message)s"
    )

    def read():
        values = json.loads((folder / "settings.json").read_text())
        if reason := values.pop("broken", ""):
            raise errors.Misconfigured(reason=reason)
        return values.pop("greeting", "hello"), Settings(**values)

    def build(workers):
        from tests.wsgi.application import Application

        greeting, settings = read()
        return Built(Application(workers, folder, greeting), settings)

    try:
        sys.exit(Supervisor(read()[1], build).run())
    except errors.Misconfigured as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
