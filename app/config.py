"""The settings of the service, read once from the environment when the application is made."""

from functools import cached_property
from ipaddress import ip_address
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

CHECKOUT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """What an operator can choose, each by the environment variable `PKPO_<NAME>`."""

    # A variable that is empty is one that is not set: compose files and shells can say it no other way.
    model_config = SettingsConfigDict(env_prefix="PKPO_", env_ignore_empty=True, extra="ignore")

    database_url: SecretStr | None = Field(
        default=None, description="Any Postgres >= 15; without it the embedded one is started in data_dir"
    )
    data_dir: Path = Field(default=CHECKOUT / ".pkpo", description="Where the embedded Postgres keeps everything")
    host: str = Field(default="127.0.0.1", description="Address to listen on; other than loopback needs an API key")
    port: int = Field(default=8000, ge=1, le=65535)
    allowed_hosts: list[str] = Field(
        default=[],
        description="JSON list of further values of the Host header that are answered (DNS names of this service)",
    )

    @cached_property
    def listens_on_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False  # a DNS name: nobody knows where it leads
