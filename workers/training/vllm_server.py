"""Completions to train on by a vLLM server, whose weights are exchanged through a folder that it sees too.

TRL asks the server for completions. Its own way of exchanging weights, NCCL between GPUs, is not taken: a folder serves
machines without one as well, and is the way that is tested here. The server says that an exchange went well also where
it did not; what counts is that the tokens which it drew are as probable under the weights that are trained.
"""

import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from trl.generation import vllm_generation
from trl.generation.vllm_client import VLLMClient

from app.jobs.specs.training import Generation
from workers.sampling import SamplingFailed
from workers.training.models import Drawn
from workers.training.vllm_colocated import require_vllm

WAITED_FOR: Final = 60.0  # seconds in which the server must answer before the first step
LONGEST_ANSWER: Final = 3600.0  # seconds: the completions of a step are one request
AT_ONCE: Final = 64  # requests
RESETS: Final = 50  # of the prefix cache, a tenth of a second apart
STARTED_SO: Final = (
    "start it with VLLM_SERVER_DEV_MODE=1 in its environment and --logprobs-mode processed_logprobs, as "
    "docs/training-jobs.md says"
)


class ServerFailed(SamplingFailed):
    """The server is not there, does not suit, or cannot go on; the message names it and what it said."""


def draw_from(base_url: str, folder: Path, length: int) -> str:
    """Have TRL draw from the server by way of a folder for the weights; the address as TRL wants it, without /v1.

    Args:
      length: tokens of the longest prompt and a completion.
    """
    require_vllm()
    vllm_generation.VLLMClient = partial(FolderClient, folder=folder, length=length)
    return base_url.removesuffix("/v1")


class FolderClient(VLLMClient):  # type: ignore[misc]  # trl is not typed
    """TRL's client of a vLLM server, but that weights go through a folder."""

    def __init__(self, base_url: str, folder: Path, length: int, **of_nccl: Any) -> None:
        self.base_url, self._folder, self._length = base_url, folder, length
        self._address = f"{base_url}/v1"  # as the spec has it
        self._http = httpx.Client(
            timeout=httpx.Timeout(LONGEST_ANSWER, connect=10),
            transport=httpx.HTTPTransport(retries=3),  # connections that were refused
            limits=httpx.Limits(max_connections=AT_ONCE),
        )
        self._exchanges, self._updating_weights = 0, False
        self.check_server(WAITED_FOR)
        self.model = self._part(self._get(f"{base_url}/v1/models"), "data", 0, "id")

    def check_server(self, total_timeout: float = 0.0, retry_interval: float = 1.0) -> None:
        """ServerFailed where the server does not answer in so many seconds."""
        until = time.monotonic() + total_timeout
        while True:
            try:
                self._asked("GET", f"{self.base_url}/health")
                return
            except ServerFailed:
                if time.monotonic() > until:
                    raise
                time.sleep(retry_interval)

    def get_server_info(self) -> Any:
        """The configuration of the server; ServerFailed where it does not tell."""
        answer = self._answer("GET", f"{self.base_url}/server_info", params={"config_format": "json"})
        if answer.status_code == 404:
            raise ServerFailed(f"The vLLM server {self._address} cannot exchange weights: {STARTED_SO}")
        return self._part(self._said(answer), "vllm_config")

    def init_communicator(self, device: torch.device | str | int = 0) -> None:
        """Nothing to open; ServerFailed where the server was started otherwise than a training needs it."""
        model = self._part(self.get_server_info(), "model_config")
        if (mode := self._part(model, "logprobs_mode")) != "processed_logprobs":
            raise ServerFailed(
                f"The vLLM server {self._address} tells {mode}, log-probabilities before the temperature: {STARTED_SO}"
            )
        if (most := self._part(model, "max_model_len")) < self._length:
            raise ServerFailed(
                f"The vLLM server {self._address} takes {most} tokens; the longest prompt and "
                f"generation.max_tokens are {self._length}"
            )

    def update_named_params(
        self, metadata: list[tuple[str, str, list[int]]], named_params: Iterator[tuple[str, torch.Tensor]]
    ) -> None:
        """Write the weights, and have the server load them.

        Each time in a folder of its own: a file system of several machines may show an old file under its name.
        """
        self._exchanges += 1
        folder = self._folder / str(self._exchanges)
        tensors = {name: each.detach().to("cpu").contiguous() for name, each in named_params}
        try:
            folder.mkdir(parents=True)
            save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        except (OSError, SafetensorError) as error:
            raise ServerFailed(f"The weights for the vLLM server could not be written to {folder}: {error}") from error
        told = {"method": "reload_weights", "kwargs": {"weights_path": str(folder)}}
        try:
            self._post(f"{self.base_url}/collective_rpc", json=told)
        except ServerFailed as error:
            raise ServerFailed(
                f"{error}. The server must see the folder {self._folder}, and have been started with the same model"
            ) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def reset_prefix_cache(self) -> None:
        """Drop what the server keeps of prompts under the old weights."""
        for _ in range(RESETS):  # it lets go of the last answers a moment after they are given
            if self._part(self._post(f"{self.base_url}/reset_prefix_cache"), "success"):
                return
            time.sleep(0.1)
        raise ServerFailed(
            f"The vLLM server {self._address} answers others too, under weights that change: a training needs one of "
            "its own"
        )

    def draw(self, prompts: Sequence[list[int]], seeds: Sequence[int], told: Generation) -> list[Drawn]:
        """A completion of each prompt, by its own seed."""
        with ThreadPoolExecutor(AT_ONCE) as threads:
            return list(threads.map(partial(self._drawn, told), prompts, seeds))

    def _drawn(self, told: Generation, prompt: list[int], seed: int) -> Drawn:
        asked = {"model": self.model, "prompt": prompt, "seed": seed, "logprobs": 0, "return_token_ids": True}
        plain = {"top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}  # whatever the model's files say
        drawn = {"temperature": told.temperature, "max_tokens": told.max_tokens}
        answer = self._post(f"{self.base_url}/v1/completions", json=asked | plain | drawn)
        choice = self._part(answer, "choices", 0)
        return self._part(choice, "token_ids"), self._part(choice, "logprobs", "token_logprobs")

    def _get(self, url: str, **more: Any) -> Any:
        return self._asked("GET", url, **more)

    def _post(self, url: str, **more: Any) -> Any:
        return self._asked("POST", url, **more)

    def _asked(self, method: str, url: str, **more: Any) -> Any:
        return self._said(self._answer(method, url, **more))

    def _answer(self, method: str, url: str, **more: Any) -> httpx.Response:
        try:
            return self._http.request(method, url, **more)
        except httpx.TransportError as error:
            raise ServerFailed(f"The vLLM server {self._address} does not answer: {_in_words(error)}") from error

    def _said(self, answer: httpx.Response) -> Any:
        if answer.status_code != 200:
            said = " ".join(answer.text[:500].split())
            raise ServerFailed(f"The vLLM server {self._address} answered {answer.status_code}: {said}".rstrip(": "))
        try:
            return answer.json() if answer.content else None
        except ValueError as error:
            raise ServerFailed(f"The server {self._address} answers otherwise than vLLM's: not in JSON") from error

    def _part(self, answer: Any, *path: str | int) -> Any:
        """What lies in an answer under these members, one in the other."""
        try:
            for step in path:
                answer = answer[step]
        except (KeyError, IndexError, TypeError) as error:
            lacking = "/".join(map(str, path))
            raise ServerFailed(
                f"The server {self._address} answers otherwise than vLLM's: without {lacking}"
            ) from error
        return answer

    def close_communicator(self) -> None:
        """Close the connections."""
        self._http.close()


def _in_words(error: httpx.TransportError) -> str:
    """What came in the way, as the system says it without its number: `Connection refused`."""
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__


def folder_for_weights(of_training: Path) -> Path:
    """Where the weights for a server pass: among the checkpoints, which remove what a killed training leaves there."""
    return of_training / f".writing-for-server-{os.getpid()}"
