"""What every variant of the ranker shares: the catalogue, its index and query clean-up."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modelserver.errors import LoadError
from modelserver.models.search_ranker.cleanup import Speller, clean_query, tokenise
from modelserver.models.search_ranker.features import ITEM_LENGTH, QUERY_LENGTH, Ids, token_row
from modelserver.models.search_ranker.retrieval import KeywordIndex

SHOP_FILE = "shop.json"


@dataclass(frozen=True)
class CleanQuery:
    """A query, cleaned up.

    Attributes:
        words: Its keywords.
        tokens: Their token ids, int64 [QUERY_LENGTH].
    """

    words: tuple[str, ...]
    tokens: Ids


@dataclass(frozen=True)
class Shop:
    """A catalogue, ready to be searched.

    Attributes:
        titles: Title of each item; an item's id is its position.
        item_tokens: Token ids of the titles, int64 [items, ITEM_LENGTH].
        index: Keyword index over the titles.
        speller: Knows the words of titles and of customers.
        buckets: Size of the hashed vocabulary.
    """

    titles: tuple[str, ...]
    item_tokens: Ids
    index: KeywordIndex
    speller: Speller
    buckets: int

    def keywords(self, text: str) -> list[str]:
        """Return the cleaned keywords of a query."""
        return clean_query(text, self.speller)

    def query_tokens(self, words: Sequence[str]) -> Ids:
        """Return the token ids of a query's keywords, int64 [QUERY_LENGTH]."""
        return token_row(words, QUERY_LENGTH, self.buckets)

    def clean(self, text: str) -> CleanQuery:
        """Return a query, cleaned up."""
        words = tuple(self.keywords(text))
        return CleanQuery(words, self.query_tokens(words))

    @property
    def version(self) -> str:
        """Return a digest of what clean-up and retrieval depend on."""
        return hashlib.sha256(_content(self).encode()).hexdigest()[:16]


def open_shop(titles: Sequence[str], words: Iterable[str], buckets: int) -> Shop:
    """Index a catalogue.

    Args:
        titles: Title of each item.
        words: Words that customers use, besides those of the titles.
        buckets: Size of the hashed vocabulary.
    """
    documents = [tokenise(title) for title in titles]
    return Shop(
        titles=tuple(titles),
        item_tokens=np.stack([token_row(document, ITEM_LENGTH, buckets) for document in documents]),
        index=KeywordIndex(documents),
        speller=Speller({*words, *(word for document in documents for word in document)}),
        buckets=buckets,
    )


def _content(shop: Shop) -> str:
    return json.dumps({"buckets": shop.buckets, "words": sorted(shop.speller.words), "titles": shop.titles})


def write_shop(path: Path, shop: Shop) -> None:
    """Write what `read_shop` needs."""
    path.write_text(_content(shop) + "\n")


def read_shop(path: Path) -> Shop:
    """Read a shop and index it.

    Raises:
        LoadError: When the file is missing or not what `write_shop` wrote.
    """
    try:
        content = json.loads(path.read_text())
        return open_shop(content["titles"], content["words"], content["buckets"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LoadError(f"{path}: expected a catalogue that `modelserver build` wrote, {error!r}") from error
