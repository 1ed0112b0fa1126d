"""From what was seen, forecast, planned and done to the status that people read and the operator remembers by. Pure."""

from modelscaler.status.capacity import measured_from
from modelscaler.status.following import decides_anew, next_status
from modelscaler.status.inputs import ForecastHealth, StatusInputs, slo_verdict
from modelscaler.status.memory import policy_state, savings_from
from modelscaler.status.settling import settle
from modelscaler.status.starts import starts_from
from modelscaler.status.wording import status_body

__all__ = [
    "ForecastHealth",
    "StatusInputs",
    "decides_anew",
    "measured_from",
    "next_status",
    "policy_state",
    "savings_from",
    "settle",
    "slo_verdict",
    "starts_from",
    "status_body",
]
