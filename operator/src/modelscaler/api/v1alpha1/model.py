"""The model, and the ways to run it."""

from typing import Annotated, Final

from pydantic import Field, StringConstraints

from modelscaler.api.v1alpha1.fields import ApiModel, Fraction, ShortText, VariantName

MODEL_URI: Final = (
    r"^(builtin://[A-Za-z0-9][A-Za-z0-9._-]*|file:///.+|python:[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*)$"
)
"""What `modelserver serve --model` opens: what it cannot is refused here, not by pods that crash."""


class Model(ApiModel):
    """The model to serve."""

    uri: Annotated[str, StringConstraints(pattern=MODEL_URI, max_length=512)] = Field(
        description=(
            "Where the server finds the model, in its image or volumes: builtin://search-ranker, file:///models/ranker, or "
            "python:package.module:Class."
        )
    )


class Variant(ApiModel):
    """One way to run the model: full precision, int8, pruned, distilled and so on."""

    name: VariantName = Field(description="Name of the variant: lower-case letters and digits, no hyphen.")
    artifact: ShortText | None = Field(
        default=None, description="The artefact under model.uri; the variant's name when absent."
    )
    accuracy: Fraction = Field(
        description='Measured accuracy between "0" and "1", as a decimal string, for example "0.912".'
    )
