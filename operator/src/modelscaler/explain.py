"""Say in one sentence, then in a table, what a ModelDeployment's last decision was and why. Pure."""

from modelscaler.api.v1alpha1 import ModelDeploymentStatus


def explain(name: str, status: ModelDeploymentStatus) -> str:
    """Return the explanation of a status, for people."""
    decision = status.last_decision
    if decision is None:
        return f"{name}: no decision yet"
    rows = [
        ("decided", decision.time),
        ("reason", decision.reason),
        ("bound by", decision.binding_constraint),
        ("measured", _rps(decision.measured_rps)),
        ("forecast", _rps(decision.forecast_rps)),
        ("planned for", _rps(decision.planned_rps)),
    ]
    if status.active:
        pool = status.active
        rows.append(("serving", f"{pool.placement}-{pool.variant}, {pool.ready_replicas} of {pool.replicas} ready"))
    if status.desired:
        want = status.desired
        rows.append(("wanted", f"{want.placement}-{want.variant} x {want.replicas} at {want.hourly_cost} per hour"))
    rows += [("one replica", text) for text in _carried(status)]
    if status.served_accuracy is not None:
        rows.append(("answers", _answers(status)))
    if decision.runner_up:
        second = decision.runner_up
        rows.append(
            (
                "runner-up",
                f"{second.placement}-{second.variant} x {second.replicas} at {second.hourly_cost}: {second.why_not}",
            )
        )
    rows += [(f"{c.type}={c.status}", f"{c.reason}: {c.message}") for c in status.conditions]
    width = max(len(label) for label, _ in rows)
    return "\n".join([f"{name}: {decision.message}", "", *(f"  {label:<{width}}  {text}" for label, text in rows)])


def _carried(status: ModelDeploymentStatus) -> list[str]:
    """Return what one replica of the wanted pool carries, and by whose word."""
    want = status.desired
    found = next(
        (c for c in status.capacity if want and (c.placement, c.variant) == (want.placement, want.variant)), None
    )
    if found is None:
        return []
    if found.source != "Measured":
        return [f"carries {_rps(found.sustainable_rps)} by {found.source.lower()}"]
    certainty = f" (standard error {float(found.speed_uncertainty) * 100:.2g} %)" if found.speed_uncertainty else ""
    speed = f"{found.speed_factor} of the stated speed{certainty}"
    return [f"carries {_rps(found.sustainable_rps)} as measured, {_rps(found.stated_rps)} as stated; {speed}"]


def _answers(status: ModelDeploymentStatus) -> str:
    mean = f"{status.served_accuracy} accurate on average"
    if status.degraded_share is None or float(status.degraded_share) == 0.0:
        return f"{mean}, all by the planned variant or better"
    return f"{mean}, {float(status.degraded_share) * 100:.3g} % of them by a cheaper variant than planned"


def _rps(text: str | None) -> str:
    return f"{text} requests/s" if text is not None else "unknown"
