"""Schedules of k: what k to train for next, as pure functions of a state that JSON can hold.

    schedule = from_spec({"schedule": "step", "from": 8, "to": 1, "at": 1500})
    state = schedule.start()
    for each training step:
        k = schedule.k(state)
        ...
        state = schedule.after(state, observed)

The state is the whole memory: saved with a checkpoint, it goes on as if training had never stopped. observed is what
schedule.observes names: pass@k, the cumulative solve rate, or solve rates. Where that is None, so is observed.

k may be fractional: mixture says which whole numbers of attempts it stands for, with what weights.
"""

from pkpo.schedules.adaptive import Adaptive, Plateau, Signal, signal_k
from pkpo.schedules.base import K, Observed, Schedule, State, mixture
from pkpo.schedules.fixed import Constant, Ramp, Step
from pkpo.schedules.spec import SCHEDULES, from_spec

__all__ = [
    "SCHEDULES",
    "Adaptive",
    "Constant",
    "K",
    "Observed",
    "Plateau",
    "Ramp",
    "Schedule",
    "Signal",
    "State",
    "Step",
    "from_spec",
    "mixture",
    "signal_k",
]
