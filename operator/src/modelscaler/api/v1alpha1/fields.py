"""What fields are made of: bounded strings, rules, and what all types here have in common."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

Decimal = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,6})?$", max_length=16)]
Fraction = Annotated[str, StringConstraints(pattern=r"^(0(\.[0-9]{1,6})?|1(\.0{1,6})?)$", max_length=8)]
Quantile = Annotated[str, StringConstraints(pattern=r"^0\.[0-9]{1,4}$", max_length=6)]
Quantity = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{1,12}(\.[0-9]{1,6})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$", max_length=24),
    Field(json_schema_extra={"x-kubernetes-int-or-string": True, "minimum": 0}),
    # Outermost: inside, pydantic would leave the pattern out of the JSON schema.
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
]
PlacementName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{0,19}$", max_length=20)]
VariantName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{0,19}$", max_length=20)]
QualifiedName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_./]{0,251}[A-Za-z0-9])?$", max_length=253)
]
LabelValue = Annotated[
    str, StringConstraints(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$", max_length=63)
]
ShortText = Annotated[str, StringConstraints(max_length=253)]
LongText = Annotated[str, StringConstraints(max_length=1024)]
CronText = Annotated[str, StringConstraints(pattern=r"^[0-9A-Z*,/#-]+( [0-9A-Z*,/#-]+){4}$", max_length=100)]
TimeZone = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_+/-]{0,63}$", max_length=64)]
HolidayDate = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", max_length=10)]
CountryCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$", max_length=2)]


def cel(rule: str, message: str, *, shown: str | None = None, field: str | None = None) -> dict[str, str]:
    """Write one `x-kubernetes-validations` rule.

    Args:
        rule: CEL expression that holds for valid values.
        message: what is expected, for people.
        shown: CEL string expression of the offending value, put after the message; None to show none. It must have a
            bounded length: the API server refuses string(integer), format and join for their estimated cost.
        field: path of the field at fault below this object, for example `.minReplicas`; None blames the object.
    """
    written = {"rule": rule, "message": message}
    if shown is not None:
        written["messageExpression"] = f"'{message}, got ' + {shown}"
    if field is not None:
        written["fieldPath"] = field
    return written


def validations(*rules: dict[str, str]) -> dict[str, Any]:
    """Attach CEL rules to a model's schema; `modelscaler.api.crd` carries them into the CRD."""
    return {"x-kubernetes-validations": list(rules)}


def list_map(*keys: str) -> dict[str, Any]:
    """Make a list a map by these keys: duplicates are rejected and server-side apply merges by key."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


class ApiModel(BaseModel):
    """camelCase outside, snake_case inside, frozen, and closed to unknown fields."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


ObjectName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$", max_length=253
    ),
]
NamespaceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", max_length=63)]
Hostname = Annotated[
    str,
    StringConstraints(
        pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$", max_length=253
    ),
]
