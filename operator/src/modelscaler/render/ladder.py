"""What a pool's servers are told of the reflex: a ladder of variants in a ConfigMap, which they follow while they run.

A file and not arguments: a changed ladder, floor or objective must not restart replicas. The servers read it as `--ladder-file`
and kubelet brings it up to date, so nothing has to reach the pods and nobody needs a token.
"""

import json
from typing import Any, Final, TypeAlias

from modelscaler.api import LADDER_VOLUME
from modelscaler.api.v1alpha1 import ModelDeployment, Variant
from modelscaler.domain import PoolKey, Workload
from modelscaler.planner.ladder import ladder_of

Fields: TypeAlias = dict[str, Any]

LADDER_KEY: Final = "ladder.json"


def artifact_of(variant: Variant) -> str:
    """Return what the server calls a variant."""
    return variant.artifact or variant.name


def ladder_text(resource: ModelDeployment, workload: Workload, pool: PoolKey, overdraft: float) -> str:
    """Return the ladder of a pool as its servers read it: variants, accuracies, floor and objective.

    With a floor it says how far a server may overdraw its budget, in multiples of its size (planner/savings.py).

    The floor is left out where the spec asks for none: every rung reaches `minAccuracy` anyway. A planned variant below the
    floor could never keep it, so the floor is never above that variant's accuracy.
    """
    rungs = _rungs(resource, ladder_of(workload, pool))
    floor, best = resource.spec.slo.min_mean_accuracy, rungs[0].accuracy
    document: Fields = {
        "variants": [artifact_of(rung) for rung in rungs],
        "accuracies": {artifact_of(rung): rung.accuracy for rung in rungs},
        "latencyMilliseconds": resource.spec.slo.latency.target_milliseconds,
    }
    if floor is not None:
        document |= {"minMeanAccuracy": min(floor, best, key=float), "overdraft": f"{overdraft:g}"}
    return json.dumps(document, sort_keys=True)


def ladder_volume(config_map: str) -> Fields:
    """Return the pod's volume; a ladder that is missing keeps no replica from serving the planned variant."""
    return {"name": LADDER_VOLUME, "configMap": {"name": config_map, "optional": True}}


def _rungs(resource: ModelDeployment, names: tuple[str, ...]) -> list[Variant]:
    """Return the variants of a ladder; of two with one artefact the first."""
    by_name = {variant.name: variant for variant in resource.spec.variants}
    by_artifact: dict[str, Variant] = {}
    for name in names:
        by_artifact.setdefault(artifact_of(by_name[name]), by_name[name])
    return list(by_artifact.values())
