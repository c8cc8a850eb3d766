"""What of a training's spec would never come into force: its steps are fixed, and no later job adds some."""

from app.jobs.specs.fields import OfMember
from pkpo.schedules import Schedule
from pkpo.schedules.adaptive import Plateau
from pkpo.schedules.fixed import Ramp, Step


def check_changes(schedule: Schedule) -> None:
    """OfMember for a schedule of several k that gives every step the same one, whatever is observed."""
    match schedule:
        case Step(at=0):
            never = "at = 0 leaves no step to from"
        case Step() | Ramp() if schedule.first == schedule.then:
            never = f"from and to are both {schedule.then:g}"
        case Plateau() if len(schedule.levels) > 1 == len(set(schedule.levels)):
            never = f"its levels are all {schedule.levels[0]:g}"
        case _:
            return
    raise OfMember("k", f"k would never change: {never}; give one k instead")


def check_in_force(steps: int, schedule: Schedule, warmup: int, saturated_for: int | None) -> None:
    """OfMember for what the steps would be over before."""
    if warmup >= steps:
        rises = f"optimizer.warmup must be below steps={steps}, or the rate lr is never reached; got {warmup}"
        raise OfMember("optimizer/warmup", rises)
    if saturated_for is not None and saturated_for >= steps:
        raise OfMember(
            "until/saturated_for",
            f"until.saturated_for must be below steps={steps}, where the training ends in any case; got "
            f"{saturated_for}",
        )
    first = _first_change(schedule)
    if first is not None and first >= steps:
        raise OfMember(
            "k",
            f"k would never change: this schedule changes it after {first} steps at the earliest, and the training "
            f"has {steps}",
        )


def _first_change(schedule: Schedule) -> int | None:
    """After how many steps k is another than in the first, at the earliest; None where no number of steps says so."""
    match schedule:
        case Step():
            return schedule.at
        case Ramp():
            return schedule.begin + 1
        case Plateau() if len(schedule.levels) > 1:
            return schedule.patience + 1  # the first measurement is what those of its patience are held to
    return None
