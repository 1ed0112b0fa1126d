"""How good a ranking is."""

import numpy as np
from numpy.typing import NDArray

from modelserver.models.search_ranker.features import Ids


def mean_ndcg(scores: NDArray[np.floating], grades: Ids, depth: int = 10) -> float:
    """Return the mean NDCG@depth (Järvelin & Kekäläinen 2002, gains 2^grade - 1).

    Searches none of whose candidates is relevant say nothing about a ranking and are left out.

    Args:
        scores: [searches, candidates]; higher is ranked first, equal scores in the order given.
        grades: Relevance of the same candidates, [searches, candidates].
        depth: Ranks that count.
    """
    gains = 2.0**grades - 1
    discounts = 1 / np.log2(np.arange(2, min(depth, grades.shape[1]) + 2))
    order = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    achieved = (np.take_along_axis(gains, order, axis=1) * discounts).sum(axis=1)
    ideal = (-np.sort(-gains, axis=1)[:, :depth] * discounts).sum(axis=1)
    judged = ideal > 0
    return float((achieved[judged] / ideal[judged]).mean())
