"""PKPO for trainers whose registries take an advantage estimator of verl's signature; torch alone is needed.

    fn(token_level_rewards, response_mask, index, config=None, **others) -> (advantages, returns)

verl calls it so, and SkyRL. Where `config` is not that of the training's algorithm, make one estimator with settings:
`AdvantageEstimator({"k": 8})`.
"""

import json
import logging
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pkpo.integrations.credits_per_step import CreditPlan, check_settings
from pkpo.schedules import Schedule, from_spec

SETTINGS = ("k", "transform", "scale", "short", "state")
_log = logging.getLogger(__name__)


class AdvantageEstimator:
    """Advantages that are credits for max_g@k: pass@k where rewards are 0 and 1. Each call is one training step.

    Args:
      settings: k: a number, weights by number, or a schedule, as pkpo.schedules.from_spec takes it; transform: any name
        that pkpo.transform takes, as "mixed(0.25)", sloo_minus_one unless given; scale: mean (default), sum or rms;
        short: zero (default) or error, for groups with fewer rewards than the transform needs; state: a file that keeps
        how far the schedule has come, read at the first call and written at each. None: they are config["pkpo"] of
        each call.
    Raises:
      ValueError: a setting that is missing, unknown, or out of range for groups of every size.
    """

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        self._settings = None if settings is None else _plain(settings)
        if settings is not None:
            _schedule_of(self._settings)
        self._plans: dict[str, _Counted] = {}

    def __call__(
        self,
        token_level_rewards: torch.Tensor,
        response_mask: torch.Tensor,
        index: Iterable[Any],
        config: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The credit of each response at each of its tokens, and once more as returns: verl asks for both.

        Args:
          token_level_rewards: shape (responses, tokens); a response's reward is their sum, nan where it is missing.
          response_mask: of that shape, 1 at the response's own tokens, 0 elsewhere.
          index: for each response the name of its group.
          config: of the training's algorithm, with the settings under pkpo.
        Raises:
          ValueError: a setting that is missing, unknown or out of range; rewards that are infinite; a mask or an index
            that is not of the rewards' responses.
        """
        groups = _groups_of(token_level_rewards, response_mask, index)
        scores = token_level_rewards.detach().cpu().double().sum(dim=-1).numpy()
        rewards, places, names = _grouped(scores, groups)
        credits = self._plan(config, rewards.shape[1]).train(rewards, names)
        of_response = np.zeros(len(scores))
        of_response[places[places >= 0]] = credits[places >= 0]
        made = torch.from_numpy(of_response).to(token_level_rewards)[:, None] * response_mask
        return made, made.clone()

    def _plan(self, config: Mapping[str, Any] | None, n: int) -> "_Counted":
        settings = self._settings
        if settings is None:
            settings = _plain((config or {}).get("pkpo"))
        key = json.dumps(settings, sort_keys=True, default=str)
        if key not in self._plans:
            self._plans[key] = _Counted(settings, _schedule_of(settings), n)
        return self._plans[key]


def _schedule_of(settings: Any) -> Schedule:
    """The schedule of k; ValueError for settings that are missing, unknown, or out of range for groups of any size."""
    if not isinstance(settings, dict) or settings.get("k") is None:
        raise ValueError("pkpo needs its k in the configuration: +algorithm.pkpo.k=8")
    if unknown := sorted(set(settings) - set(SETTINGS)):
        raise ValueError(f"pkpo takes {', '.join(SETTINGS)}; got {', '.join(unknown)}")
    schedule = from_spec(settings["k"])
    if schedule.observes in ("solve_rates", "cumulative_solve_rate"):
        # verl names groups anew at each step.
        raise ValueError(f"a schedule that observes {schedule.observes} must know problems apart, and cannot here")
    if check_settings(schedule, **_chosen(settings)) is not None:
        raise ValueError("history must know problems apart over the steps, and cannot here: their names are new")
    return schedule


def _chosen(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: settings[name] for name in ("transform", "scale", "short") if name in settings}


class _Counted:
    """A plan that counts its own steps, and keeps them in a file where it is given one."""

    def __init__(self, settings: dict[str, Any], schedule: Schedule, n: int) -> None:
        self._plan = CreditPlan(n, schedule, **_chosen(settings))
        self._steps = 0
        self._file = Path(settings["state"]) if settings.get("state") else None
        if self._file is not None and self._file.exists():
            saved = json.loads(self._file.read_text())
            self._steps = saved.pop("steps")
            self._plan.resume(saved)

    def train(self, rewards: NDArray[Any], names: Sequence[str]) -> NDArray[Any]:
        step = self._plan.train(rewards, names, self._steps)
        self._steps += 1
        _log.info("step %d: %s", self._steps, step.metrics)
        if self._file is not None:
            written = self._file.with_name(f"{self._file.name}.{os.getpid()}")
            written.write_text(json.dumps({"steps": self._steps, **self._plan.saved()}))
            written.replace(self._file)
        return step.credits


def _groups_of(rewards: torch.Tensor, response_mask: torch.Tensor, index: Iterable[Any]) -> list[str]:
    """The name of each response's group; ValueError where mask or index are not of the rewards' responses."""
    shape = tuple(rewards.shape)
    if len(shape) != 2:
        raise ValueError(f"token_level_rewards must have shape (responses, tokens); got {shape}")
    if shape[0] == 0:
        raise ValueError("token_level_rewards must hold at least one response; got none")
    if tuple(response_mask.shape) != shape:
        raise ValueError(f"response_mask must have the rewards' shape {shape}; got {tuple(response_mask.shape)}")
    try:
        names = [str(name) for name in index]
    except TypeError as error:  # None, or an array of no dimension
        raise ValueError(f"index must name the group of each of {shape[0]} responses; got {index!r}") from error
    if len(names) != shape[0]:
        raise ValueError(f"index must name the group of each of {shape[0]} responses; got {len(names)} names")
    return names


def _grouped(scores: NDArray[Any], groups: Sequence[str]) -> tuple[NDArray[Any], NDArray[Any], list[str]]:
    """Scores by group, shape (P, n) with n that of the largest; which response each is, -1 for none; the groups."""
    members: dict[str, list[int]] = defaultdict(list)
    for response, name in enumerate(groups):
        members[name].append(response)
    width = max(map(len, members.values()))
    rewards, places = np.full((len(members), width), np.nan), np.full((len(members), width), -1)
    for row, responses in enumerate(members.values()):
        places[row, : len(responses)] = responses
        rewards[row, : len(responses)] = scores[responses]
    return rewards, places, list(members)


def _plain(value: Any) -> Any:
    """Dictionaries, lists and scalars of whatever a configuration is made of."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return value
