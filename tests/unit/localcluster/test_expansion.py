"""`$(NAME)` as kubelet expands it."""

import pytest

from localcluster.node.expansion import expand

VARIABLES = {"A": "one", "B": "$(A)", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$(A)", "one"),
        ("x$(A)y$(A)", "xoneyone"),
        ("$(EMPTY)", ""),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$one"),
        ("$A ${A} $", "$A ${A} $"),
        ("$(B)", "$(A)"),
        ("$(A", "$(A"),
    ],
)
def test_references_are_expanded_once_when_they_are_known(text: str, expected: str) -> None:
    assert expand(text, VARIABLES) == expected
