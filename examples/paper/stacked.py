"""Decoder-only transformers of one shape, stacked: R policies that learn side by side as one batched product.

Every weight has the runs in front, (R, in, out), so that one product of a GPU serves all of them: R small trainings
cost little more than their arithmetic. The policies share nothing else: no gradient of one reaches another.
It leaves out dropout, biases, rotary positions and a tokenizer; positions are learned, sequences are equally long.
Axes: R runs, B sequences of a run, T tokens, H hidden, V vocabulary.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

END = 0  # the id after which a completion has ended
VOCABULARY = 48  # of every task; a multiple of 8, which tensor cores want


@dataclass(frozen=True)
class Shape:
    """The sizes of each policy."""

    hidden: int
    layers: int
    heads: int
    length: int  # tokens of the longest sequence

    def weights(self) -> dict[str, tuple[int, ...]]:
        """The name and shape of each weight of one policy."""
        H = self.hidden
        found: dict[str, tuple[int, ...]] = {"tokens": (VOCABULARY, H), "places": (self.length, H)}
        for layer in range(self.layers):
            of_layer = {"norm": (H,), "qkv": (H, 3 * H), "out": (H, H), "norm2": (H,), "up": (H, 4 * H)}
            found |= {f"{layer}.{name}": shape for name, shape in (of_layer | {"down": (4 * H, H)}).items()}
        return found | {"norm": (H,), "head": (H, VOCABULARY)}

    @property
    def parameters(self) -> int:
        """Parameters of one policy."""
        return sum(torch.Size(shape).numel() for shape in self.weights().values())


def initial(shape: Shape, seed: int) -> Tensor:
    """The weights of one untaught policy in a row, float32, on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for name, size in shape.weights().items():
        deep = name.endswith(("out", "down"))
        scale = 0.02 / (2 * shape.layers) ** 0.5 if deep else 0.02
        norm = "norm" in name
        parts.append((torch.ones(size) if norm else torch.randn(size, generator=generator) * scale).flatten())
    return torch.cat(parts)


class Stack:
    """R policies: `master` holds their weights in float32, (R, parameters); `weights` what is computed with."""

    def __init__(self, shape: Shape, master: Tensor, dtype: torch.dtype) -> None:
        self.shape, self.master = shape, master.contiguous()
        self.R = len(master)
        self.gradients = torch.zeros_like(self.master)
        self._computed = self.master.to(dtype, copy=True)
        self.weights = {name: part.requires_grad_() for name, part in self._views(self._computed).items()}
        self._gradient_views = list(self._views(self.gradients).values())

    def _views(self, flat: Tensor) -> dict[str, Tensor]:
        views, start = {}, 0
        for name, size in self.shape.weights().items():
            count = torch.Size(size).numel()
            views[name] = flat[:, start : start + count].view(self.R, *size).detach()
            start += count
        return views

    def refresh(self) -> None:
        """Compute with the master weights as they now are."""
        self._computed.copy_(self.master)

    def backward(self, loss: Tensor) -> None:
        """The gradient of a loss, in float32, into `gradients`."""
        found = torch.autograd.grad(loss, list(self.weights.values()))
        for view, gradient in zip(self._gradient_views, found, strict=True):
            view.copy_(gradient)

    def logits(self, tokens: Tensor, first: int) -> Tensor:
        """Logits of what follows each token from place `first` on, float32 (R, B, T - first, V), of (R, B, T)."""
        R, B, T = tokens.shape
        x = self._embedded(tokens, 0)
        for layer in range(self.shape.layers):
            q, k, v = self._queries_keys_values(x, layer, B, T)
            x = self._after(x, functional.scaled_dot_product_attention(q, k, v, is_causal=True), layer)
        x = x.view(R, B, T, -1)[:, :, first:].reshape(R, B * (T - first), -1)
        return self._headed(x).view(R, B, T - first, VOCABULARY)

    @torch.no_grad()
    def sampled(self, prompts: Tensor, n: int, length: int) -> Tensor:
        """n completions of each prompt at temperature 1, (R, P, n, length), END from their end on; of (R, P, T)."""
        R, P, T = prompts.shape
        B, caches = P * n, []
        x = self._embedded(prompts, 0)
        for layer in range(self.shape.layers):
            q, k, v = self._queries_keys_values(x, layer, P, T)
            x = self._after(x, functional.scaled_dot_product_attention(q, k, v, is_causal=True), layer)
            caches.append([self._cache(each, n, length) for each in (k, v)])
        logits = self._headed(x.view(R, P, T, -1)[:, :, -1]).repeat_interleave(n, dim=1)
        drawn: list[Tensor] = []
        ended = torch.zeros(R, B, dtype=torch.bool, device=prompts.device)
        for place in range(T, T + length):
            token = (logits.softmax(-1) / torch.empty_like(logits).exponential_()).argmax(-1)
            token = token.masked_fill(ended, END)
            drawn.append(token)
            ended = ended | (token == END)
            if place < T + length - 1:
                logits = self._following(token, caches, place)
        return torch.stack(drawn, dim=-1).view(R, P, n, length)

    def _following(self, token: Tensor, caches: list[list[Tensor]], place: int) -> Tensor:
        """Logits (R, B, V) after one more token of each sequence, (R, B), at a place; the caches grow by it."""
        x = self._embedded(token[..., None], place)
        for layer, (keys, values) in enumerate(caches):
            q, k, v = self._queries_keys_values(x, layer, token.shape[1], 1)
            keys[:, :, place], values[:, :, place] = k[:, :, 0], v[:, :, 0]
            seen = functional.scaled_dot_product_attention(q, keys[:, :, : place + 1], values[:, :, : place + 1])
            x = self._after(x, seen, layer)
        return self._headed(x)

    def _embedded(self, tokens: Tensor, first: int) -> Tensor:
        """(R, B * T, H) of tokens (R, B, T) that stand from place `first` on."""
        R, B, T = tokens.shape
        table = self.weights["tokens"]
        # A product with one-hot rows: its gradient is a product too, without the sorting of an embedding's.
        one_hot = functional.one_hot(tokens.reshape(R, B * T), VOCABULARY).to(table.dtype)
        places = self.weights["places"][:, None, first : first + T]
        return (torch.bmm(one_hot, table).view(R, B, T, -1) + places).view(R, B * T, -1)

    def _queries_keys_values(self, x: Tensor, layer: int, B: int, T: int) -> list[Tensor]:
        """Each of shape (R * B, heads, T, H / heads)."""
        parts = torch.bmm(self._normed(x, f"{layer}.norm"), self.weights[f"{layer}.qkv"])
        return list(parts.view(self.R * B, T, 3, self.shape.heads, -1).permute(2, 0, 3, 1, 4).unbind(0))

    def _after(self, x: Tensor, attended: Tensor, layer: int) -> Tensor:
        attended = attended.transpose(1, 2).reshape(x.shape)
        x = x + torch.bmm(attended, self.weights[f"{layer}.out"])
        inner = functional.gelu(
            torch.bmm(self._normed(x, f"{layer}.norm2"), self.weights[f"{layer}.up"]), approximate="tanh"
        )
        return x + torch.bmm(inner, self.weights[f"{layer}.down"])

    def _headed(self, x: Tensor) -> Tensor:
        return torch.bmm(self._normed(x, "norm"), self.weights["head"]).float()

    def _normed(self, x: Tensor, name: str) -> Tensor:
        return functional.rms_norm(x, (self.shape.hidden,), eps=1e-6) * self.weights[name][:, None]

    def _cache(self, of_prompts: Tensor, n: int, length: int) -> Tensor:
        """Keys or values of the prompts, once for each completion, with room for `length` more."""
        return functional.pad(of_prompts.repeat_interleave(n, dim=0), (0, 0, 0, length))
