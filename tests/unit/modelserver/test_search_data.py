from pathlib import Path

import numpy as np
import pytest

from modelserver.models.search_ranker.accuracy import mean_ndcg
from modelserver.models.search_ranker.catalogue import Item, make_catalogue
from modelserver.models.search_ranker.cleanup import Speller, clean_query, token_id, tokenise
from modelserver.models.search_ranker.features import (
    ITEM_LENGTH,
    ITEM_WORD,
    ITEM_WORD_FOUND,
    PAD,
    QUERY_LENGTH,
    QUERY_WORD,
    QUERY_WORD_FOUND,
    SEQUENCE_LENGTH,
    SUMMARY,
    make_pairs,
    token_row,
)
from modelserver.models.search_ranker.lexicon import customer_words
from modelserver.models.search_ranker.queries import MAX_GRADE, Search, make_search, misspell, relevance
from modelserver.models.search_ranker.retrieval import KeywordIndex
from modelserver.models.search_ranker.searches import draw_searches
from modelserver.models.search_ranker.shop import open_shop, read_shop, write_shop

BUCKETS = 4096
SOFA = Item("sofa", "settee", "norvik", "blue", "leather", "adult", "corner", 100)
ARMCHAIR = Item("armchair", "recliner", "norvik", "blue", "leather", "adult", "swivel", 100)
TENT = Item("tent", "tent", "norvik", "blue", "leather", "adult", "dome", 100)


def test_catalogue_and_searches_are_the_same_when_the_seed_is() -> None:
    first, second = (np.random.default_rng(5) for _ in range(2))
    ours, theirs = make_catalogue(50, first), make_catalogue(50, second)
    assert ours == theirs
    assert [make_search(ours, first) for _ in range(20)] == [make_search(theirs, second) for _ in range(20)]


def test_catalogue_differs_when_the_seed_does() -> None:
    assert make_catalogue(50, np.random.default_rng(5)) != make_catalogue(50, np.random.default_rng(6))


def test_judged_searches_are_the_same_when_the_seed_is() -> None:
    catalogue = make_catalogue(200, np.random.default_rng(0))
    shop = open_shop([item.title for item in catalogue], customer_words(), BUCKETS)
    first, second = (draw_searches(catalogue, shop, 10, 16, np.random.default_rng(3)) for _ in range(2))
    for name in ("queries", "candidates", "grades", "keyword_scores"):
        assert np.array_equal(getattr(first, name), getattr(second, name))
    assert set(np.unique(first.grades)) <= set(range(MAX_GRADE + 1))
    assert len(np.unique(first.grades)) > 1


@pytest.mark.parametrize(
    ("wanted", "item", "grade"),
    [
        ({"colour": "blue"}, SOFA, 3),
        ({"colour": "blue", "brand": "altara"}, SOFA, 2),
        ({"colour": "red", "brand": "altara", "material": "leather"}, SOFA, 1),
        ({"colour": "blue"}, ARMCHAIR, 1),
        ({"colour": "red"}, ARMCHAIR, 0),
        ({"colour": "blue"}, TENT, 0),
    ],
)
def test_relevance_falls_with_what_is_missing(wanted: dict[str, str], item: Item, grade: int) -> None:
    assert relevance(Search("", "sofa", wanted), item) == grade


def test_words_are_lower_case_ascii_and_hyphens_kept_when_tokenised() -> None:
    assert tokenise("Café-Crème, LACE-UP boots!! 42") == ["cafe-creme", "lace-up", "boots", "42"]


def test_query_keeps_its_keywords_once_when_cleaned() -> None:
    speller = Speller({"waterproof", "boot", "norvik"})
    assert clean_query("I need the best waterprof boots for Norvik norvik", speller) == ["waterproof", "boot", "norvik"]


def test_misspelt_word_is_corrected_when_one_edit_away() -> None:
    speller = Speller({"waterproof", "leather", "tent"})
    rng = np.random.default_rng(0)
    corrected = [speller.correct(misspell("waterproof", rng)) for _ in range(200)]
    assert corrected.count("waterproof") >= 190


@pytest.mark.parametrize("word", ["tent", "xyz", "1234", "completelyunknown"])
def test_word_is_left_alone_when_known_short_a_number_or_far_from_any(word: str) -> None:
    assert Speller({"tent", "leather", "1235"}).correct(word) == word


def test_token_ids_are_stable_and_never_padding() -> None:
    assert token_id("sofa", BUCKETS) == 1835
    assert all(0 < token_id(str(number), 16) < 16 for number in range(200))


def test_best_keyword_matches_come_first_and_ties_by_id() -> None:
    index = KeywordIndex([["red", "tent"], ["red", "sofa"], ["blue", "tent"], ["red", "tent"]])
    assert index.top(["red", "tent"], 2).tolist() == [0, 3]
    assert index.top(["unknown"], 3).tolist() == [0, 1, 2]


def test_pairs_mark_exact_matches_on_both_sides() -> None:
    query = token_row(["red", "sofa"], QUERY_LENGTH, BUCKETS)
    item = token_row(["norvik", "red", "settee"], ITEM_LENGTH, BUCKETS)
    pairs = make_pairs(query[None], item[None, None])
    kinds = pairs.kinds[0].tolist()
    assert pairs.tokens.shape == pairs.kinds.shape == (1, SEQUENCE_LENGTH)
    assert kinds[0] == SUMMARY
    assert kinds[1 : 1 + QUERY_LENGTH] == [QUERY_WORD_FOUND, QUERY_WORD] + [PAD] * (QUERY_LENGTH - 2)
    assert kinds[1 + QUERY_LENGTH :] == [ITEM_WORD, ITEM_WORD_FOUND, ITEM_WORD] + [PAD] * (ITEM_LENGTH - 3)


def test_ndcg_is_one_when_ideal_and_lower_when_reversed() -> None:
    grades = np.array([[3, 2, 1, 0]])
    assert mean_ndcg(np.array([[4.0, 3.0, 2.0, 1.0]]), grades) == 1.0
    # 0/log2(2) + 1/log2(3) + 3/log2(4) + 7/log2(5), over 7 + 3/log2(3) + 1/log2(4)
    assert mean_ndcg(np.array([[1.0, 2.0, 3.0, 4.0]]), grades) == pytest.approx(0.5477, abs=1e-3)


def test_searches_without_relevant_candidates_are_left_out_of_ndcg() -> None:
    assert mean_ndcg(np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([[1, 0], [0, 0]])) == 1.0


def test_shop_is_the_same_when_written_and_read(tmp_path: Path) -> None:
    shop = open_shop([SOFA.title, TENT.title], customer_words(), BUCKETS)
    write_shop(tmp_path / "shop.json", shop)
    again = read_shop(tmp_path / "shop.json")
    assert again.titles == shop.titles
    assert np.array_equal(again.item_tokens, shop.item_tokens)
    assert again.keywords("gren couch") == shop.keywords("gren couch")
