import numpy as np
import pytest

from modelserver.errors import InvalidRequestError
from modelserver.search_ranker.catalogue import make_catalogue
from modelserver.search_ranker.model import DEFAULT_CANDIDATES, MAX_QUERIES, SearchRanker, SearchRow
from modelserver.search_ranker.shop import open_shop
from modelserver.tensors import InferRequest, Tensor

ITEMS = 200


@pytest.fixture(scope="module")
def ranker() -> SearchRanker:
    """Return a ranker whose score is the number of title words found in the query."""
    titles = [item.title for item in make_catalogue(ITEMS, np.random.default_rng(0))]
    return SearchRanker(open_shop(titles, [], 4096), lambda pairs: (pairs.kinds == 5).sum(axis=1).astype(np.float32))


def request(queries: list[str], candidates: list[list[int]] | None = None) -> InferRequest:
    inputs = {"query": Tensor("query", "BYTES", (len(queries),), list(queries))}
    if candidates is not None:
        flat = [item for row in candidates for item in row]
        inputs["candidates"] = Tensor("candidates", "INT64", (len(candidates), len(candidates[0])), flat)
    return InferRequest(None, inputs)


def test_candidates_come_from_keywords_when_none_are_named(ranker: SearchRanker) -> None:
    (ranking,) = ranker.predict(ranker.decode(request(["dunmore wireless earbuds 114"])))
    assert len(ranking.items) == DEFAULT_CANDIDATES
    assert ranking.items[0] == 0
    assert ranking.scores[0] == 4
    assert (np.diff(ranking.scores) <= 0).all()


def test_named_candidates_are_ranked_and_no_others(ranker: SearchRanker) -> None:
    (first, second) = ranker.predict(ranker.decode(request(["black tent", "red sofa"], [[5, 3, 9], [1, 2, 0]])))
    assert sorted(first.items.tolist()) == [3, 5, 9]
    assert sorted(second.items.tolist()) == [0, 1, 2]


def test_answer_does_not_depend_on_the_batch_when_rows_differ_in_candidates(ranker: SearchRanker) -> None:
    rows = [SearchRow("black tent"), SearchRow("red sofa", np.array([4, 8, 15])), SearchRow("kettle")]
    together = ranker.predict(rows)
    for row, ranking in zip(rows, together, strict=True):
        (alone,) = ranker.predict([row])
        assert np.array_equal(alone.items, ranking.items)
        assert np.array_equal(alone.scores, ranking.scores)


def test_query_without_any_keyword_is_still_answered(ranker: SearchRanker) -> None:
    (ranking,) = ranker.predict(ranker.decode(request(["the ???"])))
    assert len(ranking.items) == DEFAULT_CANDIDATES


def test_titles_come_when_asked_for(ranker: SearchRanker) -> None:
    answers = ranker.predict(ranker.decode(request(["dunmore wireless earbuds 114"])))
    items, titles = ranker.encode(answers, ["items", "titles"])
    assert titles.shape == items.shape == (1, DEFAULT_CANDIDATES)
    assert titles.data[0] == "dunmore wireless blue wool earbuds men 114"


@pytest.mark.parametrize(
    ("bad", "names"),
    [
        (request([]), "0 queries"),
        (request(["tent"] * (MAX_QUERIES + 1)), "17 queries"),
        (request([""]), "0 characters"),
        (request(["x" * 513]), "513 characters"),
        (request(["tent"], [[0, ITEMS]]), "item 200"),
        (request(["tent"], [[0, -1]]), "item -1"),
        (request(["tent"], [[0], [1]]), "shape"),
        (request(["tent"], [list(range(65))]), "shape"),
        (request(["tent"], [[]]), "shape"),
    ],
)
def test_request_is_refused_when_a_value_cannot_be_answered(
    ranker: SearchRanker, bad: InferRequest, names: str
) -> None:
    with pytest.raises(InvalidRequestError, match="expected") as refused:
        ranker.decode(bad)
    assert names in str(refused.value)
