"""The service under real HTTP: `client` has a database of its own; `shared_client`, much faster, shares one."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from playwright.sync_api import Browser
from sqlalchemy import URL
from sqlalchemy.orm import Session

from app.db import make_engine
from tests.app.browsing import chromium
from tests.app.serving import serving
from tests.conftest import fresh_database


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
