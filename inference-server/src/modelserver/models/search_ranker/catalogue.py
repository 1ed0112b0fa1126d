"""The generated shop: items with attributes and the titles that search sees."""

from dataclasses import dataclass

import numpy as np

from modelserver.models.search_ranker.lexicon import AUDIENCES, BRANDS, CATEGORIES, COLOURS, MATERIALS, Category

CATEGORY_BY_NAME: dict[str, Category] = {category.name: category for category in CATEGORIES}
ATTRIBUTES: tuple[str, ...] = ("brand", "colour", "material", "audience", "feature")
"""Attributes a customer may ask for, besides the category."""


@dataclass(frozen=True)
class Item:
    """One article of the catalogue; its id is its position."""

    category: str
    noun: str
    brand: str
    colour: str
    material: str
    audience: str
    feature: str
    model_number: int

    @property
    def title(self) -> str:
        """Return the text that search sees, in the word order of a shop."""
        words = (self.brand, self.feature, self.colour, self.material, self.noun, self.audience, str(self.model_number))
        return " ".join(words)


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]


def make_item(rng: np.random.Generator) -> Item:
    """Draw one item; the same generator state gives the same item."""
    category = CATEGORIES[int(rng.integers(len(CATEGORIES)))]
    return Item(
        category=category.name,
        noun=_pick(rng, category.nouns),
        brand=_pick(rng, BRANDS),
        colour=_pick(rng, tuple(COLOURS)),
        material=_pick(rng, tuple(MATERIALS)),
        audience=_pick(rng, tuple(AUDIENCES)),
        feature=_pick(rng, category.features),
        model_number=int(rng.integers(100, 1000)),
    )


def make_catalogue(size: int, rng: np.random.Generator) -> tuple[Item, ...]:
    """Return `size` items drawn with `rng`."""
    return tuple(make_item(rng) for _ in range(size))
