"""The pydantic types: what they take, refuse and call things."""

import pytest
from pydantic import ValidationError

from modelscaler.api.v1alpha1 import Model, Resources, cel


def test_quantity_is_read_as_a_string_when_written_as_an_integer() -> None:
    assert Resources.model_validate({"requests": {"cpu": 2, "memory": "1Gi"}}).requests == {"cpu": "2", "memory": "1Gi"}


@pytest.mark.parametrize("quantity", [True, 1.5, -1, "-1", "1 Gi", "", "1Zi"])
def test_quantity_is_refused_when_it_is_not_one(quantity: object) -> None:
    with pytest.raises(ValidationError, match=r"requests\.cpu"):
        Resources.model_validate({"requests": {"cpu": quantity}})


def test_unknown_field_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="url"):
        Model.model_validate({"uri": "builtin://x", "url": "builtin://x"})


def test_rule_shows_the_offending_value_when_told_how() -> None:
    assert cel("self.a != ''", "a is required", shown="self.a", field=".a") == {
        "rule": "self.a != ''",
        "message": "a is required",
        "messageExpression": "'a is required, got ' + self.a",
        "fieldPath": ".a",
    }


def test_rule_is_plain_when_nothing_is_shown() -> None:
    assert cel("self.a > 0", "a must be positive") == {"rule": "self.a > 0", "message": "a must be positive"}
