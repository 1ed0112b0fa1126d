"""The search ranker as the server sees it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelserver.artifact import read_variant
from modelserver.errors import InvalidRequestError
from modelserver.search_ranker.features import Ids, Pairs, make_pairs
from modelserver.search_ranker.recipe import Recipe
from modelserver.search_ranker.scorers import Scorer, load_scorer
from modelserver.search_ranker.shop import SHOP_FILE, Shop, read_shop
from modelserver.tensors import InferRequest, Tensor, TensorSpec

MAX_QUERIES = 16
"""Queries in one request."""
MAX_CANDIDATES = 64
"""Candidates of one query."""
MAX_QUERY_CHARACTERS = 512
DEFAULT_CANDIDATES = Recipe().candidates
_EXAMPLE_QUERY = "waterproof navy hiker for men"


@dataclass(frozen=True)
class SearchRow:
    """One query.

    Attributes:
        text: As the customer typed it.
        candidates: Item ids to rank, int64 [candidates]; None for the best keyword matches.
    """

    text: str
    candidates: Ids | None = None


@dataclass(frozen=True)
class Ranking:
    """The candidates of one query, best first.

    Attributes:
        items: Item ids, int64 [candidates].
        scores: Their scores, float32 [candidates], descending.
    """

    items: Ids
    scores: NDArray[np.float32]


class SearchRanker:
    """Ranks catalogue items for search queries.

    Args:
        shop: The catalogue.
        scorer: The variant's network.
    """

    inputs: tuple[TensorSpec, ...] = (
        TensorSpec("query", "BYTES", (-1,)),
        TensorSpec("candidates", "INT64", (-1, -1), optional=True),
    )
    outputs: tuple[TensorSpec, ...] = (
        TensorSpec("items", "INT64", (-1, -1)),
        TensorSpec("scores", "FP32", (-1, -1)),
        TensorSpec("titles", "BYTES", (-1, -1), optional=True),
    )

    def __init__(self, shop: Shop, scorer: Scorer) -> None:
        self._shop = shop
        self._scorer = scorer

    def decode(self, request: InferRequest) -> list[SearchRow]:
        """Return one row per query; see `ServedModel.decode`."""
        query = request.inputs["query"]
        if not 1 <= len(query.data) <= MAX_QUERIES:
            raise InvalidRequestError(f"input 'query': {len(query.data)} queries, expected 1 to {MAX_QUERIES}")
        for text in query.data:
            if not 1 <= len(text) <= MAX_QUERY_CHARACTERS:
                raise InvalidRequestError(
                    f"input 'query': a query of {len(text)} characters, expected 1 to {MAX_QUERY_CHARACTERS}"
                )
        named = request.inputs.get("candidates")
        if named is None:
            return [SearchRow(text) for text in query.data]
        return [SearchRow(text, ids) for text, ids in zip(query.data, self._candidates(named, query), strict=True)]

    def _candidates(self, named: Tensor, query: Tensor) -> Ids:
        """Return the candidates that a request names, int64 [queries, candidates]."""
        queries, candidates = named.shape
        if queries != len(query.data) or not 1 <= candidates <= MAX_CANDIDATES:
            raise InvalidRequestError(
                f"input 'candidates': shape {[queries, candidates]}, "
                f"expected [{len(query.data)}, 1 to {MAX_CANDIDATES}], a row per query"
            )
        last = len(self._shop.titles) - 1
        for item in named.data:
            if not 0 <= item <= last:
                raise InvalidRequestError(f"input 'candidates': item {item}, expected an id from 0 to {last}")
        return np.array(named.data, dtype=np.int64).reshape(named.shape)

    def predict(self, rows: Sequence[SearchRow]) -> list[Ranking]:
        """Clean up, retrieve and rank; see `ServedModel.predict`."""
        words = [self._shop.keywords(row.text) for row in rows]
        candidates = [
            self._shop.index.top(row_words, DEFAULT_CANDIDATES) if row.candidates is None else row.candidates
            for row, row_words in zip(rows, words, strict=True)
        ]
        pairs = [self._pairs(*row) for row in zip(words, candidates, strict=True)]
        batch = Pairs(np.concatenate([row.tokens for row in pairs]), np.concatenate([row.kinds for row in pairs]))
        ends = np.cumsum([len(items) for items in candidates])[:-1]
        return [_rank(*row) for row in zip(candidates, np.split(self._scorer(batch), ends), strict=True)]

    def _pairs(self, words: list[str], items: Ids) -> Pairs:
        return make_pairs(self._shop.query_tokens(words)[None], self._shop.item_tokens[items][None])

    def encode(self, answers: Sequence[Ranking], outputs: Sequence[str]) -> list[Tensor]:
        """Return items, scores and titles, best first; see `ServedModel.encode`."""
        shape = (len(answers), len(answers[0].items))
        items: list[int] = [item for answer in answers for item in answer.items.tolist()]
        data: dict[str, list[int] | list[float] | list[str]] = {"items": items}
        if "scores" in outputs:
            data["scores"] = [round(score, 6) for answer in answers for score in answer.scores.tolist()]
        if "titles" in outputs:
            data["titles"] = [self._shop.titles[item] for item in items]
        return [
            Tensor(spec.name, spec.datatype, shape, data[spec.name]) for spec in self.outputs if spec.name in outputs
        ]

    def example(self) -> SearchRow:
        """Return a query of the usual cost."""
        return SearchRow(_EXAMPLE_QUERY)


def _rank(items: Ids, scores: NDArray[np.float32]) -> Ranking:
    order = np.argsort(-scores, kind="stable")
    return Ranking(items=items[order], scores=scores[order])


def open_search_ranker(directory: Path, variant: str) -> SearchRanker:
    """Load a variant.

    Raises:
        LoadError: When catalogue, metadata or weights are not what they should be.
    """
    metadata = read_variant(directory, variant)
    return SearchRanker(read_shop(directory / SHOP_FILE), load_scorer(directory / variant, metadata))
