"""The rules between fields, as the CRD's CEL has them and more: what no single field's schema can say."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from modelscaler.api import RESERVED_DIRECTORIES, RESERVED_VARIABLES, RESERVED_VOLUMES
from modelscaler.api.v1alpha1 import CapacityEntry, Forecast, ModelDeployment, ModelDeploymentSpec, ScaleToZero
from modelscaler.forecast.clocks import countries, is_date, time_zones
from modelscaler.planner.schedules import is_cron
from modelscaler.workload.invalid import InvalidSpec

DAY_SECONDS: Final = 86_400
SERVICE_NAME: Final = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")


def problems(resource: ModelDeployment) -> Iterator[InvalidSpec]:
    """Yield everything that is wrong with a resource although each field by itself is fine."""
    spec = resource.spec
    if not SERVICE_NAME.fullmatch(resource.metadata.name):
        expected = (
            "at most 40 lower-case letters, digits and hyphens, starting with a letter: it begins the names of Services"
        )
        yield InvalidSpec("metadata.name", resource.metadata.name, expected)
    yield from _duplicates("spec.variants", [v.name for v in spec.variants], "name")
    yield from _duplicates("spec.placements", [p.name for p in spec.placements], "name")
    yield from _tolerations(spec)
    yield from _accuracy(spec)
    yield from _replicas(spec)
    yield from _schedules(spec)
    yield from _forecast(spec)
    yield from _environment(spec)
    yield from _volumes(spec)
    yield from _gateway(spec)
    yield from _capacity(spec)


def _duplicates(field: str, names: list[str], key: str) -> Iterator[InvalidSpec]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield InvalidSpec(f"{field}[{index}].{key}", name, "a name that is used once")


def _tolerations(spec: ModelDeploymentSpec) -> Iterator[InvalidSpec]:
    """Yield what the API server would say of pods with such tolerations."""
    for at, placement in enumerate(spec.placements):
        for number, toleration in enumerate(placement.tolerations):
            field = f"spec.placements[{at}].tolerations[{number}]"
            if toleration.operator == "Exists" and toleration.value is not None:
                yield InvalidSpec(f"{field}.value", toleration.value, "nothing where operator is Exists")
            if toleration.operator != "Exists" and toleration.key is None:
                yield InvalidSpec(f"{field}.key", None, "a key, unless operator is Exists")
            if toleration.toleration_seconds is not None and toleration.effect != "NoExecute":
                yield InvalidSpec(
                    f"{field}.tolerationSeconds", toleration.toleration_seconds, "effect NoExecute with it"
                )


def _accuracy(spec: ModelDeploymentSpec) -> Iterator[InvalidSpec]:
    best = max(spec.variants, key=lambda v: float(v.accuracy))
    expected = f"at most the accuracy of the best variant ({best.name}: {best.accuracy})"
    if float(best.accuracy) < float(spec.slo.min_accuracy):
        yield InvalidSpec("spec.slo.minAccuracy", spec.slo.min_accuracy, expected)
    mean = spec.slo.min_mean_accuracy
    if mean is not None and float(best.accuracy) < float(mean):
        yield InvalidSpec("spec.slo.minMeanAccuracy", mean, expected)
    if mean is not None and float(mean) < float(spec.slo.min_accuracy):
        yield InvalidSpec("spec.slo.minMeanAccuracy", mean, f"at least spec.slo.minAccuracy ({spec.slo.min_accuracy})")


def _replicas(spec: ModelDeploymentSpec) -> Iterator[InvalidSpec]:
    scaling = spec.scaling
    limit = f"at most spec.scaling.maxReplicas ({scaling.max_replicas})"
    if scaling.min_replicas > scaling.max_replicas:
        yield InvalidSpec("spec.scaling.minReplicas", scaling.min_replicas, limit)
    yield from _zero(spec)
    if scaling.fallback and scaling.fallback.replicas > scaling.max_replicas:
        yield InvalidSpec("spec.scaling.fallback.replicas", scaling.fallback.replicas, limit)


def _zero(spec: ModelDeploymentSpec) -> Iterator[InvalidSpec]:
    asked, slowest = spec.scaling.scale_to_zero, max(placement.start_seconds for placement in spec.placements)
    if asked and spec.scaling.min_replicas:
        yield InvalidSpec("spec.scaling.scaleToZero", "given", "absent, or spec.scaling.minReplicas 0")
    hold_seconds = (asked or ScaleToZero()).hold_seconds
    if not spec.scaling.min_replicas and hold_seconds < slowest:
        expected = f"at least the longest startSeconds of the placements ({slowest}): whoever asks waits for a start"
        yield InvalidSpec("spec.scaling.scaleToZero.holdSeconds", hold_seconds, expected)


def _schedules(spec: ModelDeploymentSpec) -> Iterator[InvalidSpec]:
    most = spec.scaling.max_replicas
    for index, schedule in enumerate(spec.scaling.schedules):
        field = f"spec.scaling.schedules[{index}]"
        for name, text in (("start", schedule.start), ("end", schedule.end)):
            if not is_cron(text):
                yield InvalidSpec(
                    f"{field}.{name}", text, "a cron expression that names a time, such as 0 8 * * MON-FRI"
                )
        if schedule.time_zone not in time_zones():
            yield InvalidSpec(f"{field}.timeZone", schedule.time_zone, "an IANA name such as Europe/Berlin")
        if schedule.min_replicas > most:
            yield InvalidSpec(
                f"{field}.minReplicas", schedule.min_replicas, f"at most spec.scaling.maxReplicas ({most})"
            )


def _forecast(spec: ModelDeploymentSpec) -> Iterator[InvalidSpec]:
    quantile = spec.scaling.forecast.quantile
    if quantile is not None and not 0.0 < float(quantile) < 1.0:
        yield InvalidSpec("spec.scaling.forecast.quantile", quantile, "more than 0 and less than 1")
    yield from _clock(spec.scaling.forecast)


def _clock(asked: Forecast) -> Iterator[InvalidSpec]:
    """Yield what is wrong with time zone and holidays: names and dates that there are none of."""
    if asked.time_zone not in time_zones():
        yield InvalidSpec("spec.scaling.forecast.timeZone", asked.time_zone, "an IANA name such as Europe/Berlin")
    for index, day in enumerate(asked.holidays):
        if not is_date(day):
            yield InvalidSpec(f"spec.scaling.forecast.holidays[{index}]", day, "a date, say 2026-12-25")
    if asked.holiday_country is not None and asked.holiday_country not in countries():
        expected = "the ISO 3166 code of a country whose holidays are known, such as DE"
        yield InvalidSpec("spec.scaling.forecast.holidayCountry", asked.holiday_country, expected)
    if asked.season_seconds != DAY_SECONDS and (asked.time_zone != "UTC" or asked.holidays or asked.holiday_country):
        expected = f"{DAY_SECONDS}, since timeZone, holidays and holidayCountry need a season of one day"
        yield InvalidSpec("spec.scaling.forecast.seasonSeconds", asked.season_seconds, expected)


def _environment(spec: ModelDeploymentSpec) -> Iterator[InvalidSpec]:
    for index, extra in enumerate(spec.serving.env):
        if extra.name in RESERVED_VARIABLES:
            expected = "another name: the operator sets this one itself"
            yield InvalidSpec(f"spec.serving.env[{index}].name", extra.name, expected)
    yield from _duplicates("spec.serving.env", [extra.name for extra in spec.serving.env], "name")


def _volumes(spec: ModelDeploymentSpec) -> Iterator[InvalidSpec]:
    volumes, mounts = spec.serving.volumes, spec.serving.volume_mounts
    for index, volume in enumerate(volumes):
        field = f"spec.serving.volumes[{index}]"
        sources = sorted(volume.model_dump(by_alias=True, exclude_none=True, exclude={"name"}))
        if len(sources) != 1:
            expected = "exactly one of persistentVolumeClaim, configMap, secret, image and emptyDir"
            yield InvalidSpec(field, ", ".join(sources) or None, expected)
        if volume.name in RESERVED_VOLUMES:
            yield InvalidSpec(f"{field}.name", volume.name, "another name: this volume is the operator's own")
    names = [volume.name for volume in volumes]
    yield from _duplicates("spec.serving.volumes", names, "name")
    yield from _duplicates("spec.serving.volumeMounts", [mount.mount_path for mount in mounts], "mountPath")
    yield from _duplicates("spec.serving.imagePullSecrets", spec.serving.image_pull_secrets, "name")
    for index, mount in enumerate(mounts):
        if mount.mount_path in RESERVED_DIRECTORIES:
            expected = "another directory: this one is the operator's own"
            yield InvalidSpec(f"spec.serving.volumeMounts[{index}].mountPath", mount.mount_path, expected)
        if mount.name not in names:
            expected = f"a name from spec.serving.volumes ({', '.join(names) or 'there are none'})"
            yield InvalidSpec(f"spec.serving.volumeMounts[{index}].name", mount.name, expected)


def _gateway(spec: ModelDeploymentSpec) -> Iterator[InvalidSpec]:
    asked = spec.serving.gateway
    if asked is None:
        return
    for index, ref in enumerate(asked.parent_refs):
        same = [p.section_name for p in asked.parent_refs if (p.namespace, p.name) == (ref.namespace, ref.name)]
        if len(same) > 1 and (ref.section_name is None or same.count(ref.section_name) > 1):
            expected = "a sectionName of its own, since the Gateway is named more than once"
            yield InvalidSpec(f"spec.serving.gateway.parentRefs[{index}].sectionName", ref.section_name, expected)
    for index, host in enumerate(asked.hostnames):
        if host in asked.hostnames[:index]:
            yield InvalidSpec(f"spec.serving.gateway.hostnames[{index}]", host, "a host that is named once")


def _capacity(spec: ModelDeploymentSpec) -> Iterator[InvalidSpec]:
    if not spec.capacity and spec.capacity_profile is None:
        yield InvalidSpec("spec.capacity", None, "one entry at least, or spec.capacityProfile: how fast is a replica?")
    placements, variants = [p.name for p in spec.placements], [v.name for v in spec.variants]
    for index, entry in enumerate(spec.capacity):
        field = f"spec.capacity[{index}]"
        if entry.placement not in placements:
            yield InvalidSpec(
                f"{field}.placement", entry.placement, f"a name from spec.placements ({', '.join(placements)})"
            )
        if entry.variant not in variants:
            yield InvalidSpec(f"{field}.variant", entry.variant, f"a name from spec.variants ({', '.join(variants)})")
        yield from slow_problems(field, entry)
    pairs = [f"{entry.placement}-{entry.variant}" for entry in spec.capacity]
    yield from _duplicates("spec.capacity", pairs, "placement-variant")


def slow_problems(field: str, entry: CapacityEntry) -> Iterator[InvalidSpec]:
    """Yield what is wrong with the speed in a capacity entry: a replica that needs no time would carry anything."""
    if float(entry.per_request_milliseconds) <= 0.0:
        yield InvalidSpec(f"{field}.perRequestMilliseconds", entry.per_request_milliseconds, "more than 0")


def coverage_problem(spec: ModelDeploymentSpec, pairs: Iterable[tuple[str, str]]) -> InvalidSpec | None:
    """Return what is wrong when no (placement, variant) with a known speed may serve; None when one may.

    Args:
        spec: A spec.
        pairs: The pairs with a capacity entry, in the spec or the profile, that may be planned.
    """
    good = {v.name for v in spec.variants if float(v.accuracy) >= float(spec.slo.min_accuracy)}
    known = sorted(set(pairs))
    if any(variant in good for _, variant in known):
        return None
    shown = ", ".join(f"{placement}-{variant}" for placement, variant in known) or None
    expected = (
        f"an entry for a variant that reaches slo.minAccuracy {spec.slo.min_accuracy} ({', '.join(sorted(good))})"
    )
    return InvalidSpec("spec.capacity", shown, expected)
