"""Rewards to credits, by the service."""

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpo.client.answers import Transformed
from pkpo.client.batches import compressed, encoded
from pkpo.client.connection import JSON, Call, json_of, writing
from pkpo.client.groups import Groups, K, Rewards, Short
from pkpo.client.service import GZIP, Service
from pkpo.transforms import Scale

NPY = "application/x-npy"


class CreditCalls(Service):
    """POST /v1/transforms."""

    def transform(
        self,
        rewards: Rewards,
        k: K,
        transform: str = "sloo_minus_one",
        *,
        scale: Scale = "sum",
        short: Short = "error",
        record: Mapping[str, Any] | None = None,
    ) -> Transformed:
        """Credits of rewards, computed by the service; pkpo.transform computes the same ones here.

        Args:
          rewards: an array or tensor, shape (n,) or (groups, n), with nan for a missing one; or lists of any lengths,
            with nan or None.
          k: attempts that the objective allows, or the weight of each of several.
          transform, scale: as in pkpo.transform.
          short: "zero" gives groups with too few rewards credits of 0, in place of an error.
          record: where to store the groups: run, step and problems, and if wanted segment and completions.
        """
        groups = Groups.of(rewards)
        options: dict[str, Any] = {"transform": transform, "scale": scale, "short": short}
        if record is None and not isinstance(rewards, list | tuple):
            found = self._array_transform(groups, k, options)
        else:
            found = self._json_transform(groups, k, options, record)
        return replace(found, credits=found.credits[0]) if groups.alone else found

    def _array_transform(self, groups: Groups, k: K, options: Mapping[str, Any]) -> Transformed:
        body = io.BytesIO()
        np.save(body, np.where(groups.valid, groups.values, np.nan))
        ks = [f"{each}:{float(weight)!r}" for each, weight in k.items()] if isinstance(k, Mapping) else k
        call = Call("POST", "/v1/transforms", body.getvalue(), {"Content-Type": NPY}, {"k": ks, **options})
        credits: NDArray[np.float64] = np.load(io.BytesIO(self._connection.send(call).content), allow_pickle=False)
        return Transformed(np.where(groups.valid, credits, 0.0))

    def _json_transform(
        self, groups: Groups, k: K, options: Mapping[str, Any], record: Mapping[str, Any] | None
    ) -> Transformed:
        recording = {} if record is None else {"record": dict(record)}
        weights = dict(k) if isinstance(k, Mapping) else k
        body = {"rewards": groups.listed(groups.values), "k": weights, **options, **recording}
        content = compressed(encoded(body, "the request"))
        if record is None:
            call = Call("POST", "/v1/transforms", content, {"Content-Type": JSON, **GZIP})
        else:
            call = writing("/v1/transforms", content, **GZIP)
        answer = json_of(self._connection.send(call))
        credits = np.zeros(groups.values.shape)
        for row, listed in zip(credits, answer["credits"], strict=True):
            row[: len(listed)] = [each or 0.0 for each in listed]
        return Transformed(credits, np.array(answer["max_at_k"], dtype=np.float64), answer.get("recorded"))
