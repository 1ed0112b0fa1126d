"""Generated messages: what a customer means, and different ways to write it."""

from dataclasses import dataclass, replace

import numpy as np

from modelserver.models.search_ranker.queries import misspell
from modelserver.models.text_encoder.lexicon import (
    ABOUT_ONE,
    ABOUT_TWO,
    CLOSINGS,
    COLOURS,
    GREETINGS,
    PRODUCTS,
    TIMES,
)

_SHARE_ABOUT_TWO = 0.3
_TYPO_PROBABILITY = 0.06
_MIN_TYPO_LENGTH = 5
_COURTESY_PROBABILITY = 0.3
_TEMPLATES = ABOUT_ONE | ABOUT_TWO


@dataclass(frozen=True)
class Thing:
    """An item: rows of PRODUCTS and COLOURS."""

    product: int
    colour: int


@dataclass(frozen=True)
class Meaning:
    """What a message says.

    Attributes:
        intent: Key of ABOUT_ONE or ABOUT_TWO.
        item: What it is about.
        other: The second item; None for an intent about one.
        time: Row of TIMES.
    """

    intent: str
    item: Thing
    other: Thing | None
    time: int

    @property
    def swapped(self) -> "Meaning":
        """Return the meaning with the two items in each other's place."""
        return self if self.other is None else replace(self, item=self.other, other=self.item)


def _one_of(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def _thing(rng: np.random.Generator) -> Thing:
    return Thing(int(rng.integers(len(PRODUCTS))), int(rng.integers(len(COLOURS))))


def draw_meaning(rng: np.random.Generator) -> Meaning:
    """Draw what a customer means."""
    two = rng.random() < _SHARE_ABOUT_TWO
    intent = _one_of(tuple(ABOUT_TWO if two else ABOUT_ONE), rng)
    item, other, time = _thing(rng), _thing(rng), int(rng.integers(len(TIMES)))
    while other == item:
        other = _thing(rng)
    return Meaning(intent, item, other if two else None, time)


def draw_meanings(count: int, rng: np.random.Generator, other_than: frozenset[Meaning] = frozenset()) -> list[Meaning]:
    """Draw different meanings; next to each about two items stands the one with these swapped.

    Args:
        count: How many.
        rng: The same state gives the same meanings.
        other_than: Meanings not to draw.
    """
    drawn: dict[Meaning, None] = {}
    while len(drawn) < count:
        meaning = draw_meaning(rng)
        if meaning not in other_than and meaning.swapped not in other_than:
            drawn |= {meaning: None, meaning.swapped: None}
    return list(drawn)[:count]


def _named(thing: Thing, rng: np.random.Generator) -> str:
    return f"{_one_of(COLOURS[thing.colour], rng)} {_one_of(PRODUCTS[thing.product], rng)}"


def _typed(text: str, rng: np.random.Generator) -> str:
    words = text.split()
    wrong = rng.random(len(words)) < _TYPO_PROBABILITY
    long = [len(word) >= _MIN_TYPO_LENGTH and word.isalpha() for word in words]
    return " ".join(misspell(word, rng) if wrong[at] and long[at] else word for at, word in enumerate(words))


def _write(template: str, meaning: Meaning, rng: np.random.Generator) -> str:
    other = "" if meaning.other is None else _named(meaning.other, rng)
    text, time = template.format(item=_named(meaning.item, rng), other=other), _one_of(TIMES[meaning.time], rng)
    text = f"{time} {text}" if rng.random() < 0.5 else f"{text} {time}"
    if rng.random() < _COURTESY_PROBABILITY:
        text = f"{_one_of(GREETINGS, rng)} {text}"
    if rng.random() < _COURTESY_PROBABILITY:
        text = f"{text} {_one_of(CLOSINGS, rng)}"
    return _typed(text, rng)


def paraphrases(meaning: Meaning, count: int, rng: np.random.Generator) -> list[str]:
    """Write a meaning down `count` times, in turn in each of the ways there are to put it."""
    templates = _TEMPLATES[meaning.intent]
    order = rng.permutation(len(templates))
    return [_write(templates[order[at % len(templates)]], meaning, rng) for at in range(count)]
