import numpy as np
import pytest

from modelserver.errors import InvalidRequestError
from modelserver.model import Decoded
from modelserver.models.search_ranker.catalogue import make_catalogue
from modelserver.models.search_ranker.features import ITEM_WORD_FOUND
from modelserver.models.search_ranker.model import DEFAULT_CANDIDATES, MAX_QUERY_CHARACTERS, SearchRanker
from modelserver.models.search_ranker.shop import open_shop
from modelserver.tensors import Array, InferRequest, Tensor

ITEMS = 200
DUNMORE = "dunmore wireless earbuds 114"


@pytest.fixture(scope="module")
def ranker() -> SearchRanker:
    titles = [item.title for item in make_catalogue(ITEMS, np.random.default_rng(0))]
    return SearchRanker(open_shop(titles, [], 4096))


def request(queries: list[str | bytes], candidates: list[list[int]] | None = None) -> InferRequest:
    texts = np.array([query.encode() if isinstance(query, str) else query for query in queries], dtype=np.object_)
    inputs = {"query": Tensor("query", "BYTES", texts)}
    if candidates is not None:
        inputs["candidates"] = Tensor("candidates", "INT64", np.array(candidates, dtype=np.int64))
    return InferRequest(inputs, ("items", "scores"))


def words_found(decoded: Decoded) -> dict[str, Array]:
    """Score each pair by the number of title words found in the query, as a network would."""
    return {"scores": (decoded.arrays["kinds"] == ITEM_WORD_FOUND).sum(axis=1).astype(np.float32)}


def answer(
    ranker: SearchRanker, asked: InferRequest, outputs: tuple[str, ...] = ("items", "scores")
) -> dict[str, Array]:
    decoded = ranker.decode(asked)
    return {tensor.name: tensor.array for tensor in ranker.encode(words_found(decoded), decoded.memo, outputs)}


def test_candidates_come_from_keywords_when_none_are_named(ranker: SearchRanker) -> None:
    answers = answer(ranker, request([DUNMORE]))
    assert answers["items"].shape == answers["scores"].shape == (1, DEFAULT_CANDIDATES)
    assert answers["items"][0, 0] == 0
    assert answers["scores"][0, 0] == 4
    assert (np.diff(answers["scores"]) <= 0).all()


def test_named_candidates_are_ranked_and_no_others(ranker: SearchRanker) -> None:
    items = answer(ranker, request(["black tent", "red sofa"], [[5, 3, 9], [1, 2, 0]]))["items"]
    assert np.sort(items, axis=1).tolist() == [[3, 5, 9], [0, 1, 2]]


def test_pairs_are_the_same_when_queries_are_alone_or_together(ranker: SearchRanker) -> None:
    queries: list[str | bytes] = ["black tent", "red sofa", "kettle", "black tent"]
    together = ranker.decode(request(queries))
    alone = [ranker.decode(request([query])) for query in queries]
    for name in ("tokens", "kinds"):
        assert np.array_equal(together.arrays[name], np.concatenate([one.arrays[name] for one in alone]))
    assert isinstance(together.memo, np.ndarray)
    assert np.array_equal(
        together.memo, np.concatenate([one.memo for one in alone if isinstance(one.memo, np.ndarray)])
    )


def test_query_without_any_keyword_is_still_answered(ranker: SearchRanker) -> None:
    assert answer(ranker, request(["the ???"]))["items"].shape == (1, DEFAULT_CANDIDATES)


def test_titles_come_when_asked_for(ranker: SearchRanker) -> None:
    answers = answer(ranker, request([DUNMORE]), ("items", "titles"))
    assert answers["titles"].shape == answers["items"].shape
    assert answers["titles"][0, 0] == b"dunmore wireless blue wool earbuds men 114"


def test_items_of_equal_score_keep_their_order(ranker: SearchRanker) -> None:
    assert answer(ranker, request(["zzz"], [[9, 3, 5]]))["items"].tolist() == [[9, 3, 5]]


def test_example_is_answered_as_any_request(ranker: SearchRanker) -> None:
    example = ranker.example()
    assert example.rows == 1
    assert set(answer(ranker, example)) == {"items", "scores"}


@pytest.mark.parametrize(
    ("bad", "names"),
    [
        (request([""]), "0 characters"),
        (request(["x" * (MAX_QUERY_CHARACTERS + 1)]), "513 characters"),
        (request([b"\xff\xfe"]), "UTF-8"),
        (request(["tent"], [[0, ITEMS]]), "item 200"),
        (request(["tent"], [[0, -1]]), "item -1"),
        (request(["tent"], [[0], [1]]), "shape [2, 1]"),
        (request(["tent"], [list(range(65))]), "shape [1, 65]"),
        (request(["tent"], [[]]), "shape [1, 0]"),
    ],
)
def test_request_is_refused_when_a_value_cannot_be_answered(
    ranker: SearchRanker, bad: InferRequest, names: str
) -> None:
    with pytest.raises(InvalidRequestError, match="expected") as refused:
        ranker.decode(bad)
    assert names in str(refused.value)


def test_longest_query_fits_the_contract_in_any_script() -> None:
    (spec, _) = SearchRanker.inputs
    assert spec.max_bytes == len("\N{GRINNING FACE}".encode()) * MAX_QUERY_CHARACTERS


def test_preprocessing_version_moves_with_the_catalogue() -> None:
    first, same, other = (SearchRanker(open_shop([title], [], 4096)) for title in ("red tent", "red tent", "blue tent"))
    assert first.preprocessing_version == same.preprocessing_version != other.preprocessing_version
