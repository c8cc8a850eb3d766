"""The settings of the service, read once from the environment when the application is made."""

from functools import cached_property
from ipaddress import ip_address
from pathlib import Path

from pydantic import Field, SecretStr, field_validator
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
    model_roots: str = Field(
        default="", description="Folders, separated by colons, under which jobs may load models by their path"
    )
    checkpoint_dir: Path | None = Field(
        default=None, description="Where training leaves checkpoints; always a model root. Default: in data_dir"
    )
    openai_servers: list[str] = Field(
        default=[],
        description="JSON list of the base_url that jobs may name where others than this machine can submit",
    )
    upload_days: int = Field(
        default=7, ge=1, le=36_500, description="Days for which an uploaded file is kept that no job uses"
    )
    job_log_days: int = Field(default=30, ge=1, le=36_500, description="Days for which an ended job's log is kept")
    host: str = Field(default="127.0.0.1", description="Address to listen on; other than loopback needs an API key")
    port: int = Field(default=8000, ge=1, le=65535)
    allowed_hosts: list[str] = Field(
        default=[],
        description="JSON list of further values of the Host header that are answered (DNS names of this service)",
    )

    @field_validator("model_roots")
    @classmethod
    def _are_absolute(cls, roots: str) -> str:
        if relative := next((each for each in roots.split(":") if each and not each.startswith("/")), None):
            raise ValueError(f"PKPO_MODEL_ROOTS: {relative} is not an absolute path")
        return roots

    @cached_property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints that training leaves."""
        return (self.checkpoint_dir or self.data_dir / "checkpoints").resolve()

    @cached_property
    def roots_of_models(self) -> list[Path]:
        """The folders under which models may lie, without a link in the way."""
        return [*(Path(each).resolve() for each in self.model_roots.split(":") if each), self.checkpoints]

    demo: bool = Field(default=False, description="Whether a service without the demo begins it at its start")
    judged_every: float = Field(
        default=30.0, gt=0, le=86_400, description="Seconds of sampling after which verifiers are given work anew"
    )
    worker: bool = Field(default=True, description="Whether `pkpo serve --worker` keeps a worker; off: no worker")

    @cached_property
    def listens_on_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False  # a DNS name: nobody knows where it leads
