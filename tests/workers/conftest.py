"""The service over HTTP, with a data folder that workers share, and its database."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import URL
from sqlalchemy.orm import Session

from app.db import make_engine
from tests.app.serving import serving
from tests.conftest import fresh_database
from tests.workers.working import worker


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """The folder that the service and its workers keep files in."""
    return tmp_path / "data"


@pytest.fixture
def client(database_url: str, data_dir: Path) -> Iterator[httpx.Client]:
    """An HTTP client of the test's own server."""
    with serving(database_url, data_dir=data_dir) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def working_client(
    postgres_url: URL, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """An HTTP client of a server with a worker beside it, for the tests of a module that ask no more of either."""
    folder = tmp_path_factory.mktemp("data")
    with (
        fresh_database(postgres_url, template=migrated_template) as database_url,
        serving(database_url, data_dir=folder) as url,
        worker(database_url, folder, lease=30.0),
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield client


@pytest.fixture
def session(database_url: str) -> Iterator[Session]:
    """A session on the test's own database, that sees each time what is committed."""
    engine = make_engine(database_url).execution_options(isolation_level="AUTOCOMMIT")
    with Session(engine, expire_on_commit=False) as session:
        yield session
    engine.dispose()
