"""Generated searches: what a customer wants, how they type it, and how relevant each item is to it."""

from dataclasses import dataclass

import numpy as np

from modelserver.models.search_ranker.catalogue import ATTRIBUTES, CATEGORY_BY_NAME, Item
from modelserver.models.search_ranker.lexicon import AUDIENCES, COLOURS, FILLER, MATERIALS, STOP_WORDS

MAX_GRADE = 3
"""Best relevance grade; 0 is irrelevant."""

_TYPO_PROBABILITY = 0.08
_SYNONYM_PROBABILITY = 0.45
_STOP_WORD_PROBABILITY = 0.25
_MIN_TYPO_LENGTH = 5
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_SPOKEN: dict[str, dict[str, tuple[str, ...]]] = {"colour": COLOURS, "material": MATERIALS, "audience": AUDIENCES}
_STOP_WORDS = tuple(sorted(STOP_WORDS - set(FILLER)))


@dataclass(frozen=True)
class Search:
    """One generated search.

    Attributes:
        text: What the customer typed, noise included.
        category: The category they want.
        wanted: Attribute name -> value, for the attributes they care about.
    """

    text: str
    category: str
    wanted: dict[str, str]


def _one_of(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]


def misspell(word: str, rng: np.random.Generator) -> str:
    """Return `word` with one letter swapped, dropped, doubled or replaced; its first letter stays, as it mostly does."""
    at = int(rng.integers(1, len(word) - 1))
    edit = int(rng.integers(4))
    if edit == 0:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if edit == 1:
        return word[:at] + word[at + 1 :]
    if edit == 2:
        return word[:at] + word[at] + word[at:]
    return word[:at] + _one_of(rng, tuple(_ALPHABET)) + word[at + 1 :]


def _spoken_word(attribute: str, value: str, rng: np.random.Generator) -> str:
    """Return how a customer says an attribute's value: the shop's word, or one of their own."""
    own_words = _SPOKEN.get(attribute, {}).get(value, ())
    return _one_of(rng, own_words) if own_words and rng.random() < _SYNONYM_PROBABILITY else value


def _noisy(words: list[str], rng: np.random.Generator) -> str:
    typed: list[str] = []
    for word in words:
        if rng.random() < _STOP_WORD_PROBABILITY:
            typed.append(_one_of(rng, _STOP_WORDS if rng.random() < 0.5 else FILLER))
        wrong = len(word) >= _MIN_TYPO_LENGTH and rng.random() < _TYPO_PROBABILITY
        typed.append(misspell(word, rng) if wrong else word)
    return " ".join(typed)


def make_search(catalogue: tuple[Item, ...], rng: np.random.Generator) -> Search:
    """Draw a search by someone who has one item of the catalogue in mind."""
    item = catalogue[int(rng.integers(len(catalogue)))]
    category = CATEGORY_BY_NAME[item.category]
    count = int(rng.integers(1, 4))
    names = [ATTRIBUTES[int(i)] for i in rng.permutation(len(ATTRIBUTES))[:count]]
    wanted = {name: str(getattr(item, name)) for name in names}
    noun = _one_of(rng, category.spoken if rng.random() < _SYNONYM_PROBABILITY else category.nouns)
    words = [_spoken_word(name, value, rng) for name, value in wanted.items()]
    words.insert(int(rng.integers(len(words) + 1)), noun)
    return Search(text=_noisy(words, rng), category=item.category, wanted=wanted)


def relevance(search: Search, item: Item) -> int:
    """Return the grade of `item` for `search`, 0 to MAX_GRADE.

    The right category with everything asked for is 3, with at least half of it 2, with less 1. A kindred category counts 1
    when it has everything asked for. The rest is 0.
    """
    met = sum(getattr(item, name) == value for name, value in search.wanted.items())
    if item.category == search.category:
        if met == len(search.wanted):
            return MAX_GRADE
        return 2 if 2 * met >= len(search.wanted) else 1
    is_kin = CATEGORY_BY_NAME[search.category].kin == item.category
    return 1 if is_kin and met == len(search.wanted) else 0
