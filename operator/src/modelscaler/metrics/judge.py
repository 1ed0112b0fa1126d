"""From numbers and their ages to readings, so that absence, age and failure never look like zero. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelscaler.domain import Absent, Reading, SourceError, Stale, Value, WorkloadKey, Zero
from modelscaler.metrics.parse import ByLabels, Histograms, Labelled, Sample, Samples
from modelscaler.metrics.source import LatencyHistogram, LatencyReading


@dataclass(frozen=True, slots=True)
class Newest:
    """When each ModelDeployment was last scraped, and what that means for the numbers behind it.

    Args:
        stamps: The newest sample's time, in Prometheus's epoch seconds.
        now: The time by our clock; ages are taken by Prometheus's, so the two clocks need not agree.
        stale_after_seconds: A sample older than this does not speak of now.
    """

    stamps: Samples | SourceError
    now: datetime
    stale_after_seconds: float

    def readings(self, found: Samples | SourceError) -> Mapping[WorkloadKey, Reading] | SourceError:
        """Judge one number per ModelDeployment. A series without one has too few samples for a rate: absent, not zero."""
        if isinstance(self.stamps, SourceError):
            return self.stamps
        if isinstance(found, SourceError):
            return found
        return {key: self._reading(stamp, found.get(key)) for key, stamp in self.stamps.items()}

    def latencies(self, found: Histograms | SourceError) -> Mapping[WorkloadKey, LatencyReading] | SourceError:
        """Judge one histogram per ModelDeployment."""
        if isinstance(self.stamps, SourceError):
            return self.stamps
        if isinstance(found, SourceError):
            return found
        judged: dict[WorkloadKey, LatencyReading] = {}
        for key, stamp in self.stamps.items():
            at, buckets = self._fresh_at(stamp), found.get(key)
            if not isinstance(at, datetime):
                judged[key] = at
            elif isinstance(buckets, SourceError):
                judged[key] = buckets
            else:
                judged[key] = Absent() if buckets is None else LatencyHistogram(buckets, at)
        return judged

    def labelled(self, found: ByLabels | SourceError) -> Mapping[WorkloadKey, Labelled]:
        """Keep what speaks of now; where errors are as good as absence."""
        if isinstance(found, SourceError) or isinstance(self.stamps, SourceError):
            return {}
        fresh = [key for key, stamp in self.stamps.items() if isinstance(self._fresh_at(stamp), datetime)]
        return {key: numbers for key in fresh if not isinstance(numbers := found.get(key, {}), SourceError)}

    def _reading(self, stamp: Sample | SourceError, sample: Sample | SourceError | None) -> Reading:
        at = self._fresh_at(stamp)
        if not isinstance(at, datetime):
            return at
        if sample is None:
            return Absent()
        if isinstance(sample, SourceError):
            return sample
        return Value(sample.number, at) if sample.number > 0.0 else Zero(at)

    def _fresh_at(self, stamp: Sample | SourceError) -> datetime | Stale | SourceError:
        """Return when the newest sample was taken by our clock, or why it does not count."""
        if isinstance(stamp, SourceError):
            return stamp
        age_seconds = max(stamp.evaluated_at - stamp.number, 0.0)
        if age_seconds > self.stale_after_seconds:
            return Stale(age_seconds)
        return self.now - timedelta(seconds=age_seconds)
