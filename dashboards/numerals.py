"""How the pages write a number: one way everywhere, the full precision left to the title and the CSV."""

from math import isnan

DASH = "—"
MINUS = "−"
NO_BREAK = "\N{NO-BREAK SPACE}"


def metric_name(metric: str, k: int | str = "k") -> str:
    """The field's name of a metric at k: pass_at_k at 8 is pass@8, pass_hat_k is pass^8."""
    return metric.replace("_at_k", f"@{k}").replace("_hat_k", f"^{k}")


def is_rate(metric: str) -> bool:
    """True for metrics that are probabilities, so in [0, 1]; rewards have whatever scale their verifier gave them."""
    return not metric.startswith(("max_", "min_", "best_"))


def rate(value: float) -> str:
    """A probability with three decimals; what would round to 0 or 1 without being it says so; unknown is a dash."""
    if isnan(value):
        return DASH
    if 0 < value < 0.0005:
        return "<0.001"
    if 0.9995 <= value < 1:
        return ">0.999"
    return f"{value:.3f}".replace("-", MINUS)


def reward(value: float) -> str:
    """A reward with four significant digits; unknown is a dash."""
    return DASH if isnan(value) else f"{value:#.4g}".rstrip(".").replace("-", MINUS)


def estimate(value: float, metric: str) -> str:
    """The value of a metric as the pages write it."""
    return rate(value) if is_rate(metric) else reward(value)


def interval(low: float, high: float, metric: str) -> str:
    """`[low, high]` as the pages write it, or nothing where no interval is known."""
    return "" if isnan(low) or isnan(high) else f"[{estimate(low, metric)}, {estimate(high, metric)}]"


def count(number: int) -> str:
    """An integer with thousands set apart."""
    return f"{number:,}"


def size(number: int) -> str:
    """Bytes, in the unit of which there is at least one, as disks are sold: 4.2 MB."""
    for unit, power in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= power:
            return f"{number / power:,.1f}{NO_BREAK}{unit}"
    return f"{number}{NO_BREAK}bytes"


def problems(number: int) -> str:
    """How many problems, in words."""
    return f"{count(number)} problem" if number == 1 else f"{count(number)} problems"


def span(smallest: int, largest: int) -> str:
    """One count where both are the same, else both."""
    return count(smallest) if smallest == largest else f"{count(smallest)}–{count(largest)}"


def percent(level: float) -> str:
    """A confidence level as a percentage without superfluous digits: 0.95 is 95 %."""
    return f"{100 * level:.4g}{NO_BREAK}%"


def share(part: int, whole: int) -> str:
    """A part of a whole as a percentage with one decimal."""
    return f"{100 * part / whole:.1f}{NO_BREAK}%"


def duration(seconds: float) -> str:
    """A length of time in its two largest units: 50 s, 3 min, 2 h 5 min, 3 d 4 h."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole}{NO_BREAK}s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if hours == 0:
        return f"{minutes}{NO_BREAK}min"
    if days == 0:
        return f"{hours}{NO_BREAK}h" + (f" {minutes % 60}{NO_BREAK}min" if minutes % 60 else "")
    return f"{count(days)}{NO_BREAK}d" + (f" {hours % 24}{NO_BREAK}h" if hours % 24 else "")


def pace(rate: float) -> str:
    """How much is done in a second, or where that is little in a minute or an hour: 12/s, 3.5/min."""
    for unit, per_unit in (("s", rate), ("min", 60 * rate), ("h", 3600 * rate)):
        if per_unit >= 1:
            return f"{per_unit:,.0f}/{unit}" if per_unit >= 9.95 else f"{per_unit:.2g}/{unit}"
    return "less than 1/h"
