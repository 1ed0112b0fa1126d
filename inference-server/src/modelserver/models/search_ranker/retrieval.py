"""Candidates by keyword: the cheap first stage that the ranker then orders."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class KeywordIndex:
    """An inverted index with inverse document frequencies (Sparck Jones 1972).

    Args:
        documents: Words of each item; an item's id is its position.
    """

    def __init__(self, documents: Sequence[Sequence[str]]) -> None:
        postings: dict[str, list[int]] = defaultdict(list)
        for item, words in enumerate(documents):
            for word in dict.fromkeys(words):
                postings[word].append(item)
        self.size = len(documents)
        self._postings = {word: np.array(items, dtype=np.int64) for word, items in postings.items()}
        # Strictly decreasing and below the smallest idf step: equal scores order by id.
        self._tie_break = -np.arange(self.size, dtype=np.float64) * 1e-9

    def scores(self, words: Sequence[str]) -> NDArray[np.float64]:
        """Return the summed idf of the words that each item contains, shape [size]."""
        total = self._tie_break.copy()
        for word in words:
            items = self._postings.get(word)
            if items is not None:
                total[items] += np.log1p(self.size / len(items))
        return total

    def top(self, words: Sequence[str], count: int) -> NDArray[np.int64]:
        """Return the ids of the `count` best matches, best first; items without any match fill up, lowest id first."""
        scores = self.scores(words)
        best = np.argpartition(scores, -count)[-count:]
        return best[np.argsort(-scores[best])].astype(np.int64)
