"""A server in a thread of this process."""

import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from pydantic import SecretStr

from app.config import Settings
from app.main import create_app


@contextmanager
def serving(database_url: str, *, at: int = 0, **settings: Any) -> Iterator[str]:
    """The address of a server on this database, run by a thread of this process; at a port if one is given."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", at)) as listener:
        app = create_app(Settings(**{"database_url": SecretStr(database_url), "data_dir": Path(folder), **settings}))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        host, port = listener.getsockname()
        try:
            yield f"http://{host}:{port}"  # it listens already: a request made before the server is up waits
        finally:
            server.should_exit = True
            thread.join(timeout=30)
