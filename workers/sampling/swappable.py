"""Weights of a running vLLM that can be exchanged, on a processor too.

There vLLM packs the weights of linear layers when it loads them, and empties the tensors that they came from. Whether
an exchange packs anew depends on the processor and on the way: `reload_weights` has been seen right, and has been seen
to report success and compute something else. Here the layers are left as they are, without the packed product's speed.
"""

from pathlib import Path
from typing import Any, Final

EXTENSION: Final = "workers.sampling.swappable_worker.SwappableWeights"


def keep_linear_weights() -> None:
    """Have vLLM leave the weights of linear layers as they are in models that this process loads after the call.

    `vllm.LLM(worker_extension_cls=EXTENSION)` does it in the processes of its engine.
    """
    import torch
    from vllm.model_executor.layers import utils

    def dispatch(layer: Any, remove_weight: bool) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    utils.dispatch_cpu_unquantized_gemm = dispatch


def swap_weights(llm: Any, folder: Path) -> None:
    """Exchange the weights of a `vllm.LLM` made with `EXTENSION` for those in the folder: safetensors of the same kind.

    What is kept of prompts under the old weights is dropped. No request may be under way.
    """
    llm.collective_rpc("reload_weights", kwargs={"weights_path": str(folder)})
    llm.reset_prefix_cache()
