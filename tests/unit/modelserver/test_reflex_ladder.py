import hashlib
from decimal import Decimal
from typing import Any

import pytest

from modelserver.engine.ladder import Ladder, parse_ladder
from modelserver.errors import InvalidRequestError

DOCUMENT: dict[str, Any] = {"variants": ["full", "int8"], "minMeanAccuracy": "0.93", "latencyMilliseconds": 300}


def test_settings_are_read_when_the_document_is_right() -> None:
    assert parse_ladder(DOCUMENT) == Ladder(("full", "int8"), Decimal("0.93"), 300)
    assert parse_ladder(DOCUMENT).document() == DOCUMENT
    assert parse_ladder(DOCUMENT).latency_seconds == 0.3


def test_overdraft_is_kept_when_it_is_stated_and_leaves_the_hash_alone() -> None:
    ladder = parse_ladder({**DOCUMENT, "overdraft": "0.50"})

    assert ladder.overdraft == Decimal("0.5")
    assert ladder.document() == {**DOCUMENT, "overdraft": "0.5"}
    assert ladder != parse_ladder(DOCUMENT)
    assert ladder.hash == parse_ladder(DOCUMENT).hash


def test_the_hash_is_of_canonical_json_when_settings_are_complete() -> None:
    canonical = b'{"latencyMilliseconds":300,"minMeanAccuracy":"0.93","variants":["full","int8"]}'

    assert parse_ladder(DOCUMENT).hash == hashlib.sha256(canonical).hexdigest()


@pytest.mark.parametrize("same", ["0.930", ".93", "93e-2", 0.93])
def test_the_hash_is_the_same_when_a_number_is_only_written_differently(same: object) -> None:
    assert parse_ladder({**DOCUMENT, "minMeanAccuracy": same}).hash == parse_ladder(DOCUMENT).hash


@pytest.mark.parametrize(
    "change",
    [
        {"variants": ["int8", "full"]},
        {"minMeanAccuracy": "0.94"},
        {"minMeanAccuracy": None},
        {"latencyMilliseconds": 301},
        {"accuracies": {"int8": "0.9"}},
    ],
)
def test_the_hash_differs_when_a_setting_differs(change: dict[str, Any]) -> None:
    assert parse_ladder({**DOCUMENT, **change}).hash != parse_ladder(DOCUMENT).hash


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "expected an object"),
        ({}, "field 'variants': None"),
        ({"variants": []}, "at least one"),
        ({"variants": ["full", "full"]}, "distinct"),
        ({"variants": ["full", 8]}, "distinct names"),
        ({"variants": ["full", ["int8"]]}, "distinct names"),
        ({"variants": "full"}, "expected a list"),
        ({**DOCUMENT, "floor": 1}, "field 'floor': unknown"),
        ({**DOCUMENT, "minMeanAccuracy": "1.2"}, "field 'minMeanAccuracy': '1.2'"),
        ({**DOCUMENT, "minMeanAccuracy": "NaN"}, "from 0 to 1"),
        ({**DOCUMENT, "minMeanAccuracy": "much"}, "from 0 to 1"),
        ({**DOCUMENT, "minMeanAccuracy": []}, "from 0 to 1"),
        ({**DOCUMENT, "latencyMilliseconds": 0}, "field 'latencyMilliseconds': 0"),
        ({**DOCUMENT, "latencyMilliseconds": True}, "whole number"),
        ({**DOCUMENT, "latencyMilliseconds": 1.5}, "whole number"),
        ({**DOCUMENT, "accuracies": {"bf16": "0.9"}}, "expected one of full, int8"),
        ({**DOCUMENT, "accuracies": {"int8": "90"}}, "accuracies.int8"),
        ({**DOCUMENT, "accuracies": [1]}, "variant to accuracy"),
        ({**DOCUMENT, "minMeanAccuracy": "1e-900000"}, "'1e-900000', expected 0 or at least 1E-18"),
        ({**DOCUMENT, "overdraft": "101"}, "field 'overdraft': '101', expected a decimal number from 0 to 100"),
    ],
)
def test_settings_are_refused_when_a_field_is_wrong(document: object, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        parse_ladder(document)
