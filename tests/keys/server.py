"""A Barbican in a process of its own: ``python -m tests.keys.server FOLDER PORT``.

FOLDER holds ``.barbican/barbican.conf`` and ``barbican-paste.ini``, see ``barbican.py``.
"""

import os
import sys
from pathlib import Path

from cheroot import wsgi


def main(folder: Path, port: int) -> None:
    del sys.argv[1:]  # Barbican would take them for its own.
    # Each of its modules reads the files anew when it is imported, from the usual places
    # alone: of those one can be ours.
    os.environ["HOME"] = str(folder)
    from paste import deploy

    served = deploy.loadapp(f"config:{folder / 'barbican-paste.ini'}")
    serving = wsgi.Server(("127.0.0.1", port), served, 4)
    serving.prepare()
    serving.serve()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
