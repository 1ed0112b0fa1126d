"""From what a user wrote to a validated resource, and from that to the plain records the planner works on. Pure.

Everything the CRD's CEL rules check is checked here again: an older CRD may be installed, and `modelscaler validate` has no
API server to ask.
"""

from modelscaler.workload.conversion import forecast_settings, workload_from
from modelscaler.workload.files import check_file
from modelscaler.workload.invalid import InvalidSpec
from modelscaler.workload.parsing import parse_profile, parse_resource, parse_status

__all__ = [
    "InvalidSpec",
    "check_file",
    "forecast_settings",
    "parse_profile",
    "parse_resource",
    "parse_status",
    "workload_from",
]
