"""The search ranker as the server sees it."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelserver.errors import InvalidRequestError
from modelserver.model import Context, Decoded
from modelserver.models.from_artifact import ArtifactModel
from modelserver.models.search_ranker.features import Ids, make_pairs
from modelserver.models.search_ranker.recipe import Recipe
from modelserver.models.search_ranker.shop import SHOP_FILE, Shop, read_shop
from modelserver.tensors import Array, Arrays, InferRequest, Tensor, TensorSpec

MAX_QUERIES = 16
"""Queries in one request."""
MAX_CANDIDATES = 64
"""Candidates of one query."""
MAX_QUERY_CHARACTERS = 512
DEFAULT_CANDIDATES = Recipe().candidates
REMEMBERED_QUERIES = 8192
"""Cleaned queries kept per worker: a few megabytes, and most of a shop's searches are among its commonest."""
_EXAMPLE_QUERY = "waterproof navy hiker for men"


class SearchRanker(ArtifactModel):
    """Ranks catalogue items for search queries.

    Args:
        shop: The catalogue; None to read it from the artifact at set-up.
    """

    inputs = (
        TensorSpec("query", "BYTES", (-1,), max_bytes=4 * MAX_QUERY_CHARACTERS),
        TensorSpec("candidates", "INT64", (-1, -1), optional=True, minimum=0, max_length=MAX_CANDIDATES),
    )
    outputs = (
        TensorSpec("items", "INT64", (-1, -1)),
        TensorSpec("scores", "FP32", (-1, -1)),
        TensorSpec("titles", "BYTES", (-1, -1), optional=True),
    )
    max_rows = MAX_QUERIES

    def __init__(self, shop: Shop | None = None) -> None:
        if shop is not None:
            self._open(shop)

    def setup(self, context: Context) -> None:
        """Read and index the catalogue; see `Model.setup`."""
        super().setup(context)
        self._open(read_shop(self.directory / SHOP_FILE))

    def _open(self, shop: Shop) -> None:
        self._shop = shop
        self._titles = np.array([title.encode() for title in shop.titles], dtype=np.object_)
        self._clean = lru_cache(maxsize=REMEMBERED_QUERIES)(shop.clean)
        self._retrieve = lru_cache(maxsize=REMEMBERED_QUERIES)(self._best_matches)
        self.preprocessing_version = shop.version

    def _best_matches(self, words: tuple[str, ...]) -> Ids:
        return self._shop.index.top(words, DEFAULT_CANDIDATES)

    def decode(self, request: InferRequest) -> Decoded:
        """Clean up, retrieve and pair; the memo is the candidates, int64 [queries, candidates]. See `Model.decode`."""
        cleaned = [self._clean(text) for text in _texts(request.inputs["query"].array)]
        named = request.inputs.get("candidates")
        if named is None:
            candidates = np.stack([self._retrieve(query.words) for query in cleaned])
        else:
            candidates = self._checked(named.array, len(cleaned))
        pairs = make_pairs(np.stack([query.tokens for query in cleaned]), self._shop.item_tokens[candidates])
        return Decoded({"tokens": pairs.tokens, "kinds": pairs.kinds}, memo=candidates)

    def _checked(self, candidates: Ids, queries: int) -> Ids:
        """Return the candidates that a request names, int64 [queries, candidates]."""
        if candidates.shape[0] != queries or not 1 <= candidates.shape[1] <= MAX_CANDIDATES:
            raise InvalidRequestError(
                f"input 'candidates': shape {list(candidates.shape)}, "
                f"expected [{queries}, 1 to {MAX_CANDIDATES}], a row per query"
            )
        last = len(self._titles) - 1
        strange = candidates[(candidates < 0) | (candidates > last)]
        if strange.size:
            raise InvalidRequestError(f"input 'candidates': item {strange[0]}, expected an id from 0 to {last}")
        return candidates

    def encode(self, answer: Arrays, memo: Any, outputs: Sequence[str]) -> list[Tensor]:
        """Return items, scores and titles, best first; see `Model.encode`."""
        candidates: Ids = memo
        scores: NDArray[np.float32] = answer["scores"].reshape(candidates.shape)
        order = np.argsort(-scores, axis=1, kind="stable")
        made: dict[str, Array] = {"items": np.take_along_axis(candidates, order, axis=1)}
        if "scores" in outputs:
            made["scores"] = np.take_along_axis(scores, order, axis=1)
        if "titles" in outputs:
            made["titles"] = self._titles[made["items"]]
        return [Tensor(spec.name, spec.datatype, made[spec.name]) for spec in self.outputs if spec.name in outputs]

    def example(self) -> InferRequest:
        """Return a query of the usual cost."""
        query = Tensor("query", "BYTES", np.array([_EXAMPLE_QUERY.encode()], dtype=np.object_))
        return InferRequest({"query": query}, ("items", "scores"))


def _texts(queries: Array) -> list[str]:
    texts = []
    for query in queries.tolist():
        try:
            text = query.decode()
        except UnicodeDecodeError as error:
            raise InvalidRequestError(f"input 'query': {query[:32]!r}, expected UTF-8, {error.reason}") from error
        if not 1 <= len(text) <= MAX_QUERY_CHARACTERS:
            raise InvalidRequestError(
                f"input 'query': a query of {len(text)} characters, expected 1 to {MAX_QUERY_CHARACTERS}"
            )
        texts.append(text)
    return texts
