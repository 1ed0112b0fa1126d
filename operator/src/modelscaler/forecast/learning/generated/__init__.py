"""Load that is generated, for the global model to learn from before it has seen any.

No value comes from a real trace. A series is a composition of ingredients (level, seasons, bursts, schedules, switches,
noise, counting, limits, gaps) that `kinds` mixes.
"""

from modelscaler.forecast.learning.generated.compose import GeneratedPanel, generate

__all__ = ["GeneratedPanel", "generate"]
