"""The service under real HTTP: `client` has a database of its own; `shared_client`, much faster, shares one."""

import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from playwright.sync_api import Browser
from pydantic import SecretStr
from sqlalchemy import URL
from sqlalchemy.orm import Session

from app.config import Settings
from app.db import make_engine
from app.main import create_app
from tests.app.browsing import chromium
from tests.conftest import fresh_database


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


@pytest.fixture
def base_url(database_url: str) -> Iterator[str]:
    """The address of a server on the test's own database."""
    with serving(database_url) as url:
        yield url


@pytest.fixture
def client(base_url: str) -> Iterator[httpx.Client]:
    """An HTTP client of the test's own server."""
    with httpx.Client(base_url=base_url, timeout=60) as client:
        yield client


@pytest.fixture
def session(database_url: str) -> Iterator[Session]:
    """A session on the test's own database; the server sees its rows once they are committed."""
    with _session(database_url) as session:
        yield session


@pytest.fixture(scope="session")
def shared_database_url(postgres_url: URL, migrated_template: str) -> Iterator[str]:
    """A migrated database for all tests that do not care what others store beside them."""
    with fresh_database(postgres_url, template=migrated_template) as url:
        yield url


@pytest.fixture(scope="session")
def shared_client(shared_database_url: str) -> Iterator[httpx.Client]:
    """An HTTP client of one server on the shared database."""
    with serving(shared_database_url) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


@pytest.fixture
def shared_session(shared_database_url: str) -> Iterator[Session]:
    """A session on the shared database."""
    with _session(shared_database_url) as session:
        yield session


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A running Chromium; of a module and no longer, for while it runs this thread has an event loop."""
    with chromium() as running:
        yield running


@contextmanager
def _session(database_url: str) -> Iterator[Session]:
    engine = make_engine(database_url)
    with Session(engine, expire_on_commit=False) as session:
        yield session
    engine.dispose()
