"""Searches with graded candidates: what training, calibration and evaluation read."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelserver.models.search_ranker.catalogue import Item
from modelserver.models.search_ranker.features import QUERY_LENGTH, Ids, Pairs, make_pairs
from modelserver.models.search_ranker.queries import make_search, relevance
from modelserver.models.search_ranker.shop import Shop


@dataclass(frozen=True)
class JudgedSearches:
    """Searches and their candidates with relevance.

    Attributes:
        queries: Token ids, int64 [searches, QUERY_LENGTH].
        candidates: Item ids, int64 [searches, candidates].
        grades: Relevance, 0 to 3, int64 [searches, candidates].
        keyword_scores: Score of each candidate by keyword match alone, the baseline, float64 [searches, candidates].
    """

    queries: Ids
    candidates: Ids
    grades: Ids
    keyword_scores: NDArray[np.float64]

    def pairs(self, shop: Shop, rows: Ids | slice) -> Pairs:
        """Return the query-item pairs of the searches `rows`."""
        return make_pairs(self.queries[rows], shop.item_tokens[self.candidates[rows]])


def _shelves(catalogue: tuple[Item, ...]) -> dict[str, Ids]:
    """Return the item ids of each category."""
    categories = np.array([item.category for item in catalogue])
    return {str(name): np.flatnonzero(categories == name) for name in np.unique(categories)}


def _draw_candidates(ranked: Ids, shelf: Ids, items: int, count: int, rng: np.random.Generator) -> Ids:
    """Fill up what keyword search found: half from the wanted category's shelf, half from all items."""
    missing = count - len(ranked)
    own = rng.choice(shelf, size=missing // 2)
    return np.concatenate([ranked, own, rng.integers(items, size=missing - len(own))])


def draw_searches(
    catalogue: tuple[Item, ...], shop: Shop, searches: int, candidates: int, rng: np.random.Generator
) -> JudgedSearches:
    """Draw searches and judge their candidates.

    Args:
        catalogue: The items behind the shop.
        shop: The same items, searchable.
        searches: How many to draw.
        candidates: Candidates per search.
        rng: The same state gives the same searches.
    """
    drawn = JudgedSearches(
        queries=np.zeros((searches, QUERY_LENGTH), dtype=np.int64),
        candidates=np.zeros((searches, candidates), dtype=np.int64),
        grades=np.zeros((searches, candidates), dtype=np.int64),
        keyword_scores=np.zeros((searches, candidates)),
    )
    shelves = _shelves(catalogue)
    for row in range(searches):
        search = make_search(catalogue, rng)
        words = shop.keywords(search.text)
        ranked = shop.index.top(words, candidates // 2)
        chosen = _draw_candidates(ranked, shelves[search.category], len(catalogue), candidates, rng)
        drawn.queries[row] = shop.query_tokens(words)
        drawn.candidates[row] = chosen
        drawn.grades[row] = [relevance(search, catalogue[int(item)]) for item in chosen]
        drawn.keyword_scores[row] = shop.index.scores(words)[chosen]
    return drawn
