"""Pydantic schemas become structural ones, or the generation stops."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import ConfigDict, Field, StringConstraints

from modelscaler.api.structural import UnsupportedSchemaError, structural_schema
from modelscaler.api.v1alpha1 import ApiModel, Quantity, cel, list_map, validations

Key = Annotated[str, StringConstraints(pattern="^[a-z]+$")]


class Inner(ApiModel):
    """The inner object."""

    depth_seconds: int = Field(default=3, ge=1, le=9, description="Depth.")
    word: Literal["A", "B"] | None = Field(default=None, description="Word.")
    items: list[int] = Field(default_factory=list, max_length=4, description="Items.")


def test_nested_object_is_inlined_with_the_fields_own_description_when_referenced() -> None:
    class Outer(ApiModel):
        """The outer object."""

        inner: Inner = Field(description="What the field says.")

    inner = structural_schema(Outer)["properties"]["inner"]

    assert inner["description"] == "What the field says."
    assert inner["properties"]["depthSeconds"] == {
        "description": "Depth.", "type": "integer", "minimum": 1, "maximum": 9, "default": 3,
    }  # fmt: skip


def test_none_disappears_when_a_field_is_optional() -> None:
    word = structural_schema(Inner)["properties"]["word"]

    assert word == {"description": "Word.", "type": "string", "enum": ["A", "B"]}


def test_default_of_an_object_keeps_only_what_is_present() -> None:
    class Outer(ApiModel):
        """The outer object."""

        inner: Inner = Field(default=Inner(), description="Inner.")

    assert structural_schema(Outer)["properties"]["inner"]["default"] == {"depthSeconds": 3}


def test_object_without_present_defaults_gets_none() -> None:
    class Empty(ApiModel):
        """Nothing is set."""

        word: str | None = Field(default=None, description="Word.")

    class Outer(ApiModel):
        """The outer object."""

        empty: Empty = Field(default=Empty(), description="Empty.")

    assert "default" not in structural_schema(Outer)["properties"]["empty"]


def test_map_with_restricted_keys_becomes_additional_properties() -> None:
    class Labelled(ApiModel):
        """Has labels."""

        labels: dict[Key, int] = Field(default_factory=dict, max_length=2, description="Labels.")

    labels = structural_schema(Labelled)["properties"]["labels"]

    assert labels == {
        "description": "Labels.", "type": "object", "maxProperties": 2, "additionalProperties": {"type": "integer"},
    }  # fmt: skip


def test_quantity_takes_integers_as_well_as_strings() -> None:
    class Sized(ApiModel):
        """Has a size."""

        size: Quantity = Field(description="Size.")

    size = structural_schema(Sized)["properties"]["size"]

    assert size["x-kubernetes-int-or-string"] is True
    assert size["anyOf"] == [{"type": "integer"}, {"type": "string"}]
    assert {"pattern", "maxLength", "minimum"} <= set(size)
    assert "type" not in size


def test_rules_and_list_types_are_carried_through() -> None:
    class Ruled(ApiModel):
        """Has rules."""

        names: list[Inner] = Field(max_length=2, description="Names.", json_schema_extra=list_map("name"))

        model_config = ConfigDict(json_schema_extra=validations(cel("self.a > 0", "a must be positive", field=".a")))

    schema = structural_schema(Ruled)

    assert schema["x-kubernetes-validations"] == [
        {"rule": "self.a > 0", "message": "a must be positive", "fieldPath": ".a"}
    ]
    assert schema["properties"]["names"]["x-kubernetes-list-map-keys"] == ["name"]


class TwoTypes(ApiModel):
    """A union."""

    either: int | str = Field(description="Either.")


class OpenEnded(ApiModel):
    """An exclusive bound."""

    share: int = Field(gt=0, description="Share.")


class Fixed(ApiModel):
    """A tuple."""

    pair: tuple[int, int] = Field(description="Pair.")


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (TwoTypes, r"TwoTypes\.either: a union of 2 types"),
        (OpenEnded, r"OpenEnded\.share: keyword exclusiveMinimum has no equivalent.*ge/le"),
        (Fixed, r"Fixed\.pair: keyword prefixItems has no equivalent"),
    ],
)
def test_generation_stops_naming_the_field_when_the_dialect_cannot_say_it(
    model: type[ApiModel], complaint: str
) -> None:
    with pytest.raises(UnsupportedSchemaError, match=complaint):
        structural_schema(model)


def test_schema_shares_nothing_when_a_type_is_used_twice() -> None:
    class Twice(ApiModel):
        """Uses a type twice."""

        one: Inner = Field(description="One.")
        two: Inner = Field(description="Two.")

    properties: dict[str, Any] = structural_schema(Twice)["properties"]

    assert properties["one"]["properties"]["word"]["enum"] is not properties["two"]["properties"]["word"]["enum"]
