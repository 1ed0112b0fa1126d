"""`modelscaler.dev/v1alpha1`: what a user writes in a ModelDeployment and what the operator answers in its status.

Pydantic lives here and at the other edges only; `modelscaler.domain` turns a validated resource into plain records.
Descriptions are what `kubectl explain` prints. Money, accuracies and rates are decimal strings, because the Kubernetes
API advises against floats.
"""

from modelscaler.api.v1alpha1.capacity import CapacityEntry
from modelscaler.api.v1alpha1.fields import ApiModel, Quantity, cel, list_map, validations
from modelscaler.api.v1alpha1.model import Model, Variant
from modelscaler.api.v1alpha1.placement import Placement, Resources, Toleration
from modelscaler.api.v1alpha1.resource import ModelDeployment
from modelscaler.api.v1alpha1.scaling import Forecast, ScaleToZero, Scaling, ScalingRules
from modelscaler.api.v1alpha1.serving import GatewayRoute, ParentRef, Serving
from modelscaler.api.v1alpha1.spec import ModelDeploymentSpec
from modelscaler.api.v1alpha1.status import (
    ActivePool,
    CandidatePool,
    CandidateStatus,
    CapacityStatus,
    Condition,
    Decision,
    DesiredPool,
    DesiredSide,
    ForecastStatus,
    ForecastWeight,
    LoadStatus,
    ModelDeploymentStatus,
    PolicyStatus,
    Recommendation,
    RunnerUp,
    SavingsStatus,
    ScaleChange,
    SidePool,
    TransitionStatus,
    TuningStatus,
    Unavailable,
)

__all__ = [
    "ActivePool",
    "ApiModel",
    "CandidatePool",
    "CandidateStatus",
    "CapacityEntry",
    "CapacityStatus",
    "Condition",
    "Decision",
    "DesiredPool",
    "DesiredSide",
    "Forecast",
    "ForecastStatus",
    "ForecastWeight",
    "GatewayRoute",
    "LoadStatus",
    "Model",
    "ModelDeployment",
    "ModelDeploymentSpec",
    "ModelDeploymentStatus",
    "ParentRef",
    "Placement",
    "PolicyStatus",
    "Quantity",
    "Recommendation",
    "Resources",
    "RunnerUp",
    "SavingsStatus",
    "ScaleChange",
    "ScaleToZero",
    "Scaling",
    "ScalingRules",
    "Serving",
    "SidePool",
    "Toleration",
    "TransitionStatus",
    "TuningStatus",
    "Unavailable",
    "Variant",
    "cel",
    "list_map",
    "validations",
]
