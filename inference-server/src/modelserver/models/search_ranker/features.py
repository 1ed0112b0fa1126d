"""Turns a query and its candidates into the two integer tensors that the ranker reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from modelserver.models.search_ranker.cleanup import token_id

Ids: TypeAlias = NDArray[np.int64]

QUERY_LENGTH = 7
"""Keywords of a query that the ranker reads; the rest is dropped."""
ITEM_LENGTH = 8
"""Words of a title that the ranker reads."""
SEQUENCE_LENGTH = 1 + QUERY_LENGTH + ITEM_LENGTH

PAD, SUMMARY, QUERY_WORD, QUERY_WORD_FOUND, ITEM_WORD, ITEM_WORD_FOUND = range(6)
"""Kinds of position. Marking exact matches helps a cross-encoder (Boualili et al. 2020, MarkedBERT)."""
KIND_COUNT = 6


@dataclass(frozen=True)
class Pairs:
    """Query-item pairs.

    Attributes:
        tokens: Token ids, int64 [pairs, SEQUENCE_LENGTH]; 0 is padding.
        kinds: Kind of each position, int64 [pairs, SEQUENCE_LENGTH].
    """

    tokens: Ids
    kinds: Ids


def token_row(words: Sequence[str], length: int, buckets: int) -> Ids:
    """Return the token ids of the first `length` words, padded with 0; int64 [length]."""
    ids = [token_id(word, buckets) for word in words[:length]]
    return np.array(ids + [PAD] * (length - len(ids)), dtype=np.int64)


def make_pairs(query: Ids, items: Ids) -> Pairs:
    """Return the pairs of each query with its items.

    Args:
        query: Token ids, int64 [queries, QUERY_LENGTH].
        items: Token ids, int64 [queries, candidates, ITEM_LENGTH].
    """
    queries, candidates, _ = items.shape
    same = (query[:, None, :, None] == items[:, :, None, :]) & (query[:, None, :, None] != PAD)
    tokens = np.zeros((queries, candidates, SEQUENCE_LENGTH), dtype=np.int64)
    kinds = np.full_like(tokens, PAD)
    kinds[..., 0] = SUMMARY
    in_query, in_item = slice(1, 1 + QUERY_LENGTH), slice(1 + QUERY_LENGTH, None)
    tokens[..., in_query], tokens[..., in_item] = query[:, None, :], items
    kinds[..., in_query] = np.where(query[:, None, :] == PAD, PAD, QUERY_WORD + same.any(axis=3))
    kinds[..., in_item] = np.where(items == PAD, PAD, ITEM_WORD + same.any(axis=2))
    flat = (queries * candidates, SEQUENCE_LENGTH)
    return Pairs(tokens=tokens.reshape(flat), kinds=kinds.reshape(flat))
