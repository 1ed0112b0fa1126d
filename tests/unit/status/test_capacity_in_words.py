from modelscaler.api.v1alpha1 import CapacityStatus, Decision, DesiredPool, ModelDeploymentStatus
from modelscaler.explain import explain


def explained(**capacity: object) -> str:
    """Return the whole explanation."""
    fields = {"placement": "cpu", "variant": "int8", "sustainable_rps": "62", "source": "Measured", **capacity}
    status = ModelDeploymentStatus(
        desired=DesiredPool(placement="cpu", variant="int8", replicas=2, hourly_cost="0.4"),
        capacity=[CapacityStatus.model_validate(fields)],
        last_decision=Decision(time="t", reason="Steady", message="two are enough", binding_constraint="None"),
    )
    return explain("m", status) + "\n"


def told(**capacity: str) -> str:
    """Return the row about what one replica carries."""
    rows = explained(**capacity).splitlines()
    return next((row.split("  ", 2)[-1].strip() for row in rows if "one replica" in row), "")


def test_measured_capacity_is_told_beside_the_stated_one() -> None:
    assert told(stated_rps="80", speed_factor="0.82", speed_uncertainty="0.03") == (
        "carries 62 requests/s as measured, 80 requests/s as stated; 0.82 of the stated speed (standard error 3 %)"
    )


def test_source_is_told_when_nothing_was_measured() -> None:
    assert told(source="Profile") == "carries 62 requests/s by profile"


def test_doubt_of_a_profile_is_told_when_nothing_was_measured() -> None:
    assert told(source="Profile", speed_uncertainty="0.06") == "carries 62 requests/s by profile (give or take 6 %)"


def test_start_is_told_when_it_was_measured() -> None:
    assert "starts in" not in explained(source="Spec")
    assert "  one replica  starts in 84 s as measured\n" in explained(source="Spec", measured_start_seconds=84)


def test_nothing_is_told_of_replicas_that_are_not_wanted() -> None:
    assert told(variant="full") == ""
