"""Paths of the server to what they ask for. Pure."""

from dataclasses import dataclass
from typing import Literal

Subject = Literal["server", "live", "ready", "model", "model ready", "infer", "openapi", "metrics", "bottleneck"]

PATHS = (
    "/v2",
    "/v2/health/live",
    "/v2/health/ready",
    "/v2/models/MODEL[/versions/VARIANT][/ready]",
    "/v2/models/MODEL[/versions/VARIANT]/infer",
    "/openapi.json",
    "/metrics",
    "/debug/bottleneck",
)
_WITHOUT_MODEL: dict[str, Subject] = {
    "/v2": "server",
    "/v2/health/live": "live",
    "/v2/health/ready": "ready",
    "/openapi.json": "openapi",
    "/metrics": "metrics",
    "/debug/bottleneck": "bottleneck",
}
_OF_MODEL: dict[tuple[str, ...], Subject] = {(): "model", ("ready",): "model ready", ("infer",): "infer"}


@dataclass(frozen=True, slots=True)
class Route:
    """What a path asks for.

    Attributes:
        subject: What.
        model: Whose; None where there is none in the path.
        variant: In the path; None for none.
    """

    subject: Subject
    model: str | None = None
    variant: str | None = None


def parse_path(path: str) -> Route | None:
    """Return what a path asks for; None when it is none of ours.

    Args:
        path: Decoded; a slash at its end does not matter.
    """
    path = path.rstrip("/")
    subject = _WITHOUT_MODEL.get(path)
    if subject is not None:
        return Route(subject)
    match path.split("/"):
        case ["", "v2", "models", model, "versions", variant, *rest] if model and variant:
            subject = _OF_MODEL.get(tuple(rest))
            return None if subject is None else Route(subject, model, variant)
        case ["", "v2", "models", model, *rest] if model:
            subject = _OF_MODEL.get(tuple(rest))
            return None if subject is None else Route(subject, model)
    return None
