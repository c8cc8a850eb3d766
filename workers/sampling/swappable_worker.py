"""What `worker_extension_cls` names: vLLM's worker imports this before it loads a model, and that is what counts."""

from workers.sampling.swappable import keep_linear_weights

keep_linear_weights()


class SwappableWeights:
    """Adds nothing to the worker: vLLM wants a class to be named."""
