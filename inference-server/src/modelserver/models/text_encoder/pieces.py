"""Turns text into the hashed pieces that the network reads: each word, and runs of three letters in it.

Runs of letters let a misspelt word lie near the right one (Bojanowski et al. 2017, fastText); hashing needs no vocabulary.
"""

import zlib
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from modelserver.models.search_ranker.cleanup import tokenise

WORDS = 24
"""Words of a text that the network reads; the rest is dropped."""
PIECES = 8
"""Pieces of a word that the network reads: the word and its first runs of letters."""
PAD = 0
_RUN = 3
_MAX_LETTERS = 32
"""Letters of a word that are read; clients choose the words, so what is remembered of them is bounded."""
_WORDS_REMEMBERED = 16384


@lru_cache(maxsize=_WORDS_REMEMBERED)
def word_pieces(word: str, buckets: int) -> tuple[int, ...]:
    """Return the pieces of a word, PIECES ids in [1, buckets) and padding."""
    fenced = f"<{word}>"
    runs = [fenced[at : at + _RUN] for at in range(len(fenced) - _RUN + 1)] if len(word) > 1 else []
    ids = [1 + zlib.crc32(piece.encode()) % (buckets - 1) for piece in [fenced, *runs[: PIECES - 1]]]
    return tuple(ids + [PAD] * (PIECES - len(ids)))


def text_pieces(texts: Iterable[str], buckets: int) -> NDArray[np.int64]:
    """Return the pieces of texts, int64 [texts, WORDS, PIECES]; a text without words is all padding."""
    empty = (PAD,) * PIECES
    rows = []
    for text in texts:
        words = [word_pieces(word[:_MAX_LETTERS], buckets) for word in tokenise(text)[:WORDS]]
        rows.append(words + [empty] * (WORDS - len(words)))
    return np.array(rows, dtype=np.int64).reshape(-1, WORDS, PIECES)
