"""Bad days: what the judged part of a replay is put through. Imports nothing heavy, as the command's options read it. Pure."""

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

RAMP_SECONDS: Final = 60.0
RAMP_SHARE: Final = 0.25
"""Longest rise of a flash crowd, and the most of its length that it takes; it goes as it came."""

MOST_FACTOR: Final = 100.0
UNIT_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0}
MOMENT: Final = re.compile(r"(?:\d+(?:\.\d+)?h)?(?:\d+(?:\.\d+)?m)?(?:\d+(?:\.\d+)?s)?")
TERM: Final = re.compile(r"(\d+(?:\.\d+)?)([hms])")


Answer: TypeAlias = Literal["empty", "none"]
"""What a query of Prometheus comes back with in an outage: nothing was found, or no answer at all."""


class IncidentError(ValueError):
    """An incident cannot be read: the message names what was got, and what is expected."""


@dataclass(frozen=True, slots=True)
class StockOut:
    """While it lasts, no new replica of a placement finds a node. Times are seconds from the part's beginning."""

    placement: str
    from_seconds: float
    to_seconds: float

    def later(self, seconds: float) -> "StockOut":
        """Return the same, so much later."""
        return StockOut(self.placement, self.from_seconds + seconds, self.to_seconds + seconds)

    def __str__(self) -> str:
        return f"stock-out of {self.placement} from {shown(self.from_seconds)} to {shown(self.to_seconds)}"


@dataclass(frozen=True, slots=True)
class FlashCrowd:
    """A load multiplied by `factor`: a straight rise, a stay and a straight fall, `seconds` in all.

    The three phases are those of Ari, Hong, Miller, Brandt and Long, "Managing flash crowds on the Internet", MASCOTS 2003.
    """

    at_seconds: float
    factor: float
    seconds: float

    @property
    def ramp_seconds(self) -> float:
        """How long it rises, and how long it falls."""
        return min(RAMP_SECONDS, RAMP_SHARE * self.seconds)

    def later(self, seconds: float) -> "FlashCrowd":
        """Return the same, so much later."""
        return FlashCrowd(self.at_seconds + seconds, self.factor, self.seconds)

    def __str__(self) -> str:
        return f"flash crowd of {self.factor:g} times the load for {self.seconds:g} s at {shown(self.at_seconds)}"


@dataclass(frozen=True, slots=True)
class MetricsOutage:
    """While it lasts, queries of Prometheus find nothing; then all is there again, the time between as well.

    Attributes:
        answer: `empty`: they come back empty, as when a label they ask for is lost on the way; `none`: they do not come back.
        from_seconds: From the part's beginning.
        to_seconds: Likewise.
    """

    answer: Answer
    from_seconds: float
    to_seconds: float

    def later(self, seconds: float) -> "MetricsOutage":
        """Return the same, so much later."""
        return MetricsOutage(self.answer, self.from_seconds + seconds, self.to_seconds + seconds)

    def __str__(self) -> str:
        what = "empty answers" if self.answer == "empty" else "no answers"
        return f"{what} of Prometheus from {shown(self.from_seconds)} to {shown(self.to_seconds)}"


def metrics_outage(text: str) -> MetricsOutage:
    """Read ANSWER:FROM-TO, such as `empty:10h-10h30m`.

    Raises:
        IncidentError: It is something else.
    """
    span = _span(text)
    known: Answer | None = next((each for each in get_args(Answer) if span and each == span[0]), None)
    if span is None or known is None:
        raise IncidentError(
            f"got {text!r}, expected ANSWER:FROM-TO with ANSWER one of {', '.join(get_args(Answer))} and FROM before TO, "
            "such as empty:10h-10h30m"
        )
    return MetricsOutage(known, *span[1:])


def stock_out(text: str) -> StockOut:
    """Read PLACEMENT:FROM-TO, such as `gpu:10h-11h30m`.

    Raises:
        IncidentError: It is something else.
    """
    span = _span(text)
    if span is None:
        raise IncidentError(f"got {text!r}, expected PLACEMENT:FROM-TO with FROM before TO, such as gpu:10h-11h30m")
    return StockOut(*span)


def _span(text: str) -> tuple[str, float, float] | None:
    """Read WHAT:FROM-TO, with FROM before TO; None when it is something else."""
    what, _, times = text.partition(":")
    begins, _, ends = times.partition("-")
    first, last = moment(begins), moment(ends)
    return (what, first, last) if what and first is not None and last is not None and first < last else None


def flash_crowd(text: str) -> FlashCrowd:
    """Read AT:FACTOR:SECONDS, such as `14h:3:600`.

    Raises:
        IncidentError: It is something else.
    """
    parts = text.split(":")
    at = moment(parts[0])
    factor, seconds = (number(part) for part in parts[1:]) if len(parts) == 3 else (0.0, 0.0)
    if at is None or not 1.0 < factor <= MOST_FACTOR or not seconds > 0.0:
        raise IncidentError(
            f"got {text!r}, expected AT:FACTOR:SECONDS with a factor above 1 and up to {MOST_FACTOR:g}, such as 14h:3:600"
        )
    return FlashCrowd(at, factor, seconds)


def moment(text: str) -> float | None:
    """Return a time such as 11h30m, 90m or 45s in seconds; None when it is none."""
    if not text or MOMENT.fullmatch(text) is None:
        return None
    return sum(float(count) * UNIT_SECONDS[unit] for count, unit in TERM.findall(text))


def number(text: str) -> float:
    """Return a plain number such as 3 or 2.5; 0 when it is none."""
    return float(text) if re.fullmatch(r"\d{1,9}(\.\d{1,6})?", text) else 0.0


def shown(seconds: float) -> str:
    """Write a time as `moment` reads it."""
    whole = round(seconds)
    counts = ((whole // 3600, "h"), (whole // 60 % 60, "m"), (whole % 60, "s"))
    return "".join(f"{count}{unit}" for count, unit in counts if count) or "0s"
