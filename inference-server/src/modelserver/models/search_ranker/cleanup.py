"""Query clean-up: free text in, token ids out. Standard library only, so that every variant shares it."""

import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator

from modelserver.models.search_ranker.lexicon import STOP_WORDS

_WORD = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_MIN_CORRECTED_LENGTH = 4
"""Shorter words are one edit away from too many others to be corrected."""

RESERVED_IDS = 1
"""Token id 0 is padding."""


def tokenise(text: str) -> list[str]:
    """Return the lower-case words of `text`; accents are folded, punctuation dropped, hyphenated words kept whole."""
    decomposed = unicodedata.normalize("NFKD", text)
    plain = "".join(char for char in decomposed if not unicodedata.combining(char)).lower()
    return _WORD.findall(plain)


def token_id(word: str, buckets: int) -> int:
    """Return a stable hash of `word` in [RESERVED_IDS, buckets)."""
    return RESERVED_IDS + zlib.crc32(word.encode()) % (buckets - RESERVED_IDS)


def _deletes(word: str) -> Iterator[str]:
    """Yield `word` and all its forms with one letter missing."""
    yield word
    for at in range(len(word)):
        yield word[:at] + word[at + 1 :]


class Speller:
    """Corrects words one edit away from a known word, by symmetric deletes (Garbe's SymSpell, distance 1).

    Attributes:
        words: The known words.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.words: frozenset[str] = frozenset(words)
        self._by_delete: dict[str, str] = {}
        for word in sorted(self.words):
            if len(word) >= _MIN_CORRECTED_LENGTH and not word.isdigit():
                for key in _deletes(word):
                    self._by_delete.setdefault(key, word)

    def correct(self, word: str) -> str:
        """Return the known word that `word` was meant to be, or `word` itself."""
        if word in self.words or len(word) < _MIN_CORRECTED_LENGTH or word.isdigit():
            return word
        singular = word.removesuffix("s")
        if singular in self.words:
            return singular
        for key in _deletes(word):
            found = self._by_delete.get(key)
            if found is not None:
                return found
        return word


def clean_query(text: str, speller: Speller) -> list[str]:
    """Return the keywords of a query: tokenised, stop words dropped, spelling corrected, first mention kept."""
    words = (speller.correct(word) for word in tokenise(text) if word not in STOP_WORDS)
    return list(dict.fromkeys(words))
