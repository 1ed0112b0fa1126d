from modelscaler.domain import PolicyState, Value
from modelscaler.planner.candidates import candidates
from modelscaler.planner.plan import plan
from modelscaler_benchmarks.planning.__main__ import measured
from modelscaler_benchmarks.planning.fleet import LEAD_SECONDS, Member, fleet, moved


def replicas(member: Member) -> int:
    made, _ = plan(member.workload, member.observation, member.forecast, member.state, LEAD_SECONDS)
    return made.target.replicas


def test_member_has_eight_candidates_and_serves_what_it_planned() -> None:
    member = fleet(1, seed=0, reflex=True)[0]

    assert len(candidates(member.workload, member.observation, PolicyState())) == 8
    assert member.observation.selected == member.state.active
    assert replicas(member) == member.observation.pools[0].replicas


def test_member_s_load_and_forecast_move_together() -> None:
    member = fleet(1, seed=0, reflex=False)[0]
    higher = moved(member, 1.5)

    assert isinstance(member.observation.offered, Value)
    assert isinstance(higher.observation.offered, Value)
    assert higher.observation.offered.value == 1.5 * member.observation.offered.value
    assert (higher.forecast.peak_rps == 1.5 * member.forecast.peak_rps).all()
    assert replicas(higher) > replicas(member)


def test_every_round_is_timed() -> None:
    seconds = measured(fleet(2, seed=1, reflex=True), 4.0, rounds=3)

    assert len(seconds) == 3
    assert all(each >= 0.0 for each in seconds)
