"""What a worker on this machine can do."""

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from workers.sampling.registry import NEEDS

CHECKOUT: Final = Path(__file__).resolve().parent.parent
LIBRARIES: Final = {"verify:math": "math_verify", "verify:reasoning-gym": "reasoning_gym"}
logger = logging.getLogger(__name__)


def capabilities() -> tuple[str, ...]:
    """The names by which jobs ask for it; what is not offered is logged, with the way to it."""
    found = ["import", "verify"]
    for capability, module in LIBRARIES.items():
        if find_spec(module) is not None:
            found.append(capability)
        else:
            logger.info("not offered: %s, for want of the package %s, which %s", capability, module, remedy())
    for name, modules in NEEDS.items():
        if missing := [module for module in modules if find_spec(module) is None]:
            wanted = " and ".join(missing)
            logger.info("not offered: sampling:%s, for want of %s, which %s", name, wanted, remedy())
        else:
            found.append(f"sampling:{name}")
    if (reason := _obstacle_to_code()) is None:
        found.append("verify:python")
    else:
        logger.info("not offered: verify:python: %s", reason)
    if find_spec("trl") is not None:
        # In a training completions are judged as they come: where to verify is offered, to train with it is.
        found += [each.replace("verify", "train", 1) for each in found if each.partition(":")[0] == "verify"]
    else:
        logger.info("not offered: training, for want of the package trl, which %s", remedy())
    return tuple(found)


def remedy(checkout: Path = CHECKOUT) -> str:
    """Where a package that is missing is to be had: an image has no Makefile, and can install nothing."""
    if (checkout / "Makefile").exists():
        return "`make worker` installs"
    return "the image of worker-gpu has (docker compose --profile gpu up -d --build)"


def _obstacle_to_code() -> str | None:
    """Why model-written code cannot be graded here; None where the sandbox has passed its check."""
    try:
        from workers.sandbox.check import check
    except ImportError as error:
        return str(error)
    report = check()
    if report.offered:
        return None
    return report.reason or "; ".join(f"{each.name}: {each.detail}" for each in report.checks if not each.passed)
