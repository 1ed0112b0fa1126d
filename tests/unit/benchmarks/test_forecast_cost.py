"""What the document says of the cost of forecasts, and what a retuning is measured on."""

from dataclasses import replace

import pytest

from modelscaler.forecast.jobs import NETWORK, TrainingBudget
from modelscaler_benchmarks.forecast_cost.document import Cost, report, section, verdicts
from modelscaler_benchmarks.forecast_cost.retuning import Retuned, Watch, job_for

RETUNED = Retuned(200, 220_000, 0.97, 250.0, (44.0, 45.0), 47.0)
MEMORY = {"loaded": 200.0, "after": 300.0, "peak": 400.0}
COST = Cost(5_000, 40, (1.0, 1.2, 2.0), (3.0,), 64, {"networks": 0.5}, MEMORY, RETUNED)


def test_targets_are_met_when_the_median_tick_the_peak_and_the_retuning_are_within_bounds() -> None:
    assert [(each.measured, each.met) for each in verdicts(COST)] == [
        ("1.20 s (1.00–2.00)", True),
        ("400 MiB", True),
        ("200 series: 250 s", True),
    ]


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        (replace(COST, seconds=(1.6,)), "1.60 s"),
        (replace(COST, mebibytes={**MEMORY, "peak": 501.0}), "501 MiB"),
        (replace(COST, retuning=replace(RETUNED, seconds=301.0)), "200 series: 301 s"),
    ],
)
def test_one_target_is_missed_when_its_bound_is_not_kept(cost: Cost, words: str) -> None:
    (missed,) = [each for each in verdicts(cost) if not each.met]

    assert missed.measured.startswith(words)


def test_retuning_is_not_measured_when_it_was_left_out() -> None:
    bare = replace(COST, retuning=None, warming=())

    assert verdicts(bare)[-1].word() == "not measured"
    assert "rows" not in report(bare)
    assert "restart" not in report(bare)


def test_section_tells_rows_copies_and_machine() -> None:
    written = section(COST, "A machine.")

    assert "220,000 rows of 200 series: 2 copies of up to 45 s" in written
    assert "the state of 64 series is made anew" in written
    assert "A machine." in written


def test_watch_tells_how_long_each_copy_was_fitted_without_what_came_before_and_after() -> None:
    watch = Watch(iter([1.0, 4.0, 10.0, 12.0, 15.0, 30.0, 37.0, 50.0, 90.0]).__next__)

    for heard, looks in (
        ("9 rows", 2),
        ("copy 1 of 2", 3),
        ("epoch 3 of 3", 0),
        ("copy 2 of 2", 2),
        ("another on the old", 2),
    ):
        watch.hear(heard)
        for _ in range(looks):
            watch.look()

    assert watch.material_seconds == 3.0
    assert watch.copy_seconds == (5.0, 7.0)


def test_retuning_is_said_to_be_cut_short_when_one_copy_reached_its_time() -> None:
    cut = replace(COST, retuning=replace(RETUNED, copy_seconds=(44.0, 47.0)))

    assert verdicts(cut)[-1].measured == "200 series: 250 s, its fits cut short"


def test_retuning_gets_the_service_s_own_job_of_all_series() -> None:
    job = job_for(2, 2_400.0, seed=0)

    assert (job.kind, job.budget) == (NETWORK, TrainingBudget())
    assert job.pretrained is not None
    assert job.histories[0].panel.series == 2
    assert job.histories[0].aheads == (1, 3, 10, 30, 60)
