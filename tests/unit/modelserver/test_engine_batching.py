import numpy as np
import pytest

from modelserver.compute.batching import run_batch
from modelserver.compute.executor import Batch, BatchResult
from modelserver.compute.warmup import warm_up
from modelserver.errors import InferenceFailedError, InvalidRequestError, LoadError, RequestError
from modelserver.model import Decoded, Model, Network
from modelserver.tensors import Arrays, InferRequest, Tensor
from modelserver.timing import fit_linear_cost
from modelserver_fakes import EchoModel, numbers_request


def run(model: Model, *requests: InferRequest, network: Network | None = None) -> BatchResult:
    return run_batch(model, network or model.predict, Batch("full", requests))


def numbers_of(result: BatchResult) -> list[object]:
    """Return each request's numbers, or its error's type."""
    return [
        type(outcome) if isinstance(outcome, RequestError) else outcome[0].array.tolist() for outcome in result.outcomes
    ]


def test_requests_are_computed_together_when_they_can_be() -> None:
    model = EchoModel()

    result = run(model, numbers_request(1, 2), numbers_request(3), numbers_request(4, 5, 6))

    assert numbers_of(result) == [[1, 2], [3], [4, 5, 6]]
    assert model.batches == [[1, 2, 3, 4, 5, 6]]


def test_one_request_is_refused_when_only_the_model_can_tell() -> None:
    result = run(EchoModel(), numbers_request(1), numbers_request(-1), numbers_request(2))

    assert numbers_of(result) == [[1], InvalidRequestError, [2]]


@pytest.mark.parametrize(
    "error", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), MemoryError(), StopIteration()]
)
def test_neighbours_are_answered_when_one_request_fails_the_batch(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    result = run(EchoModel(poison=2, poison_error=error), numbers_request(1), numbers_request(2), numbers_request(3))

    assert numbers_of(result) == [[1], InferenceFailedError, [3]]
    assert "retrying its requests singly" in caplog.text


@pytest.mark.parametrize(
    "answer",
    [
        {"numbers": np.zeros(1)},
        {"numbers": np.zeros(9)},
        {"numbers": np.float64(3)},
        {"numbers": [1, 2]},
        {},
        [np.zeros(2)],
        None,
    ],
)
def test_nobody_gets_a_neighbours_answer_when_the_model_returns_something_else(answer: object) -> None:
    def network(batch: Arrays) -> Arrays:
        return answer  # type: ignore[return-value]  # that is the point

    result = run(EchoModel(), numbers_request(1, 5), numbers_request(2, 6), network=network)

    assert numbers_of(result) == [InferenceFailedError, InferenceFailedError]


class Careless(EchoModel):
    """Makes arrays that cannot be concatenated, or are none."""

    def decode(self, request: InferRequest) -> Decoded:
        numbers = request.inputs["numbers"].array
        if numbers[0] == 0:
            return Decoded({"numbers": [1, 2]})  # type: ignore[dict-item]  # that is the point
        if numbers[0] == 1:
            return Decoded({"numbers": numbers, "more": numbers[:-1]})
        if numbers[0] == 2:
            raise SystemExit
        return Decoded({"numbers": np.repeat(numbers[:, None], int(numbers[0]), axis=1)})

    def encode(self, answer: Arrays, memo: object, outputs: object) -> list[Tensor]:
        numbers = answer["numbers"][:, 0]
        if numbers[0] == 3:
            raise InvalidRequestError("three")
        return [] if numbers[0] == 4 else [Tensor("numbers", "INT64", numbers)]


def test_only_the_request_fails_when_decode_makes_nonsense_of_it() -> None:
    result = run(Careless(), *(numbers_request(first, 9) for first in (0, 1, 2, 5)))

    assert numbers_of(result) == [InferenceFailedError, InferenceFailedError, InferenceFailedError, [5, 9]]


def test_only_the_request_fails_when_encode_does() -> None:
    result = run(Careless(), *(numbers_request(first) for first in (3, 4, 5)))

    assert numbers_of(result) == [InvalidRequestError, InferenceFailedError, [5]]


def test_each_length_is_a_batch_of_its_own_when_shapes_differ() -> None:
    model = Careless()

    result = run(model, numbers_request(5), numbers_request(6), numbers_request(5))

    assert numbers_of(result) == [[5], [6], [5]]
    assert len(model.batches) == 2


def test_phases_are_measured_when_a_batch_runs() -> None:
    result = run(EchoModel(), numbers_request(1))

    assert result.preprocess_seconds > 0
    assert result.compute_seconds > 0
    assert result.postprocess_seconds > 0


class Slow(EchoModel):
    """Takes 2 ms and 1 ms per number, up to 16; beyond them 2 ms each. On its own clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def predict(self, batch: Arrays) -> Arrays:
        size = len(batch["numbers"])
        self.now += 0.002 + 0.001 * size + 0.001 * max(0, size - 16)
        return super().predict(batch)


def test_warm_up_finds_line_and_cap_when_larger_batches_are_no_cheaper() -> None:
    model = Slow()

    warm = warm_up(model, model.predict, "full", budget_seconds=100, clock=lambda: model.now, hindered=lambda: 0.0)

    assert warm.max_batch_rows == 16
    assert warm.cost.per_request_seconds == pytest.approx(0.001)
    assert warm.cost.overhead_seconds == pytest.approx(0.002)
    assert warm.seconds == pytest.approx(model.now)


def test_time_in_which_others_had_the_cores_does_not_count_when_a_variant_is_measured() -> None:
    model = Slow()
    others = 0.0

    def predict(batch: Arrays) -> Arrays:
        nonlocal others
        others += 0.05
        model.now += 0.05
        return model.predict(batch)

    warm = warm_up(model, predict, "full", budget_seconds=100, clock=lambda: model.now, hindered=lambda: others)

    assert warm.max_batch_rows == 16
    assert warm.cost.seconds(16) == pytest.approx(0.018)


def test_a_variant_never_seems_faster_than_it_is_when_the_process_is_held_up_between_two_readings() -> None:
    model = Slow()
    waited = 0.0

    def held_up() -> float:
        nonlocal waited
        waited += 0.06
        model.now += 0.06
        return waited

    warm = warm_up(model, model.predict, "full", budget_seconds=100, clock=lambda: model.now, hindered=held_up)

    assert all(warm.cost.seconds(size) >= 0.002 + 0.001 * size - 1e-9 for size in (1, 2, 4, 8, 16))


class Tiny(EchoModel):
    """Takes 10 us per number and nothing per batch. On its own clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def predict(self, batch: Arrays) -> Arrays:
        self.now += 1e-5 * len(batch["numbers"])
        return super().predict(batch)


@pytest.mark.parametrize(("hand_over_seconds", "cap"), [(0.0, 1), (3e-4, 128)])
def test_batches_are_larger_when_handing_one_over_costs_more_than_its_rows(hand_over_seconds: float, cap: int) -> None:
    model = Tiny()

    warm = warm_up(
        model,
        model.predict,
        "full",
        hand_over_seconds,
        budget_seconds=100,
        clock=lambda: model.now,
        hindered=lambda: 0.0,
    )

    assert warm.max_batch_rows == cap
    assert warm.cost.per_request_seconds == pytest.approx(1e-5)


def test_warm_up_ends_when_its_time_is_over() -> None:
    model = Slow()

    warm_up(model, model.predict, "full", budget_seconds=0.0, clock=lambda: model.now, hindered=lambda: 0.0)

    assert max(map(len, model.batches)) == 2


@pytest.mark.parametrize("error", [ValueError("bad weights"), SystemExit(1)])
def test_a_variant_does_not_load_when_it_fails_on_the_example(error: BaseException) -> None:
    model = EchoModel(poison=0, poison_error=error)

    with pytest.raises(LoadError, match=f"variant 'int8' fails on the model's example, {type(error).__name__}"):
        warm_up(model, model.predict, "int8")


def test_the_line_is_flat_when_larger_batches_take_less() -> None:
    cost = fit_linear_cost({1: 0.012, 2: 0.011, 4: 0.01})

    assert cost.per_request_seconds == 0
    assert cost.overhead_seconds == pytest.approx(0.011, rel=0.05)


def test_the_line_fits_when_all_sizes_take_the_same() -> None:
    cost = fit_linear_cost({1: 0.01, 2: 0.01})

    assert (cost.seconds(1), cost.seconds(2)) == pytest.approx((0.01, 0.01))
    assert cost.r2 == 1
    assert cost.seconds(0) == 0
