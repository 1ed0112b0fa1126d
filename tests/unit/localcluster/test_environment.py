"""A container's environment."""

from typing import Any

import pytest

from localcluster.node.downward import UnknownField, field_value
from localcluster.node.environment import MissingConfiguration, PodFacts, container_environment

POD: dict[str, Any] = {
    "metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {"app": 'a"b'}, "annotations": {"x/y": "z"}},
    "spec": {"nodeName": "node-1", "serviceAccountName": "robot"},
}
FACTS = PodFacts(POD, {"status.podIP": "127.64.0.9", "status.hostIP": "127.0.0.1"}, {"cpu": "8", "memory": "16Gi"})
OBJECTS = {("ConfigMap", "conf"): {"k": "v", "OTHER": "w"}, ("Secret", "hidden"): {"s": "t"}}


def _environment(container: dict[str, Any], base: dict[str, str] | None = None) -> dict[str, str]:
    return container_environment(container, base or {}, FACTS, lambda kind, name: OBJECTS.get((kind, name)))


def _from(source: dict[str, Any]) -> dict[str, Any]:
    return {"env": [{"name": "X", "valueFrom": source}]}


def test_later_sources_win_when_names_repeat() -> None:
    container = {"envFrom": [{"configMapRef": {"name": "conf"}}], "env": [{"name": "OTHER", "value": "mine"}]}
    assert _environment(container, {"k": "base", "PATH": "/bin"}) == {"k": "v", "OTHER": "mine", "PATH": "/bin"}


def test_prefix_is_put_before_names_when_env_from_has_one() -> None:
    container = {"envFrom": [{"secretRef": {"name": "hidden"}, "prefix": "P_"}]}
    assert _environment(container) == {"P_s": "t"}


def test_values_refer_to_earlier_variables_only() -> None:
    container = {"env": [{"name": "A", "value": "$(B)"}, {"name": "B", "value": "2"}, {"name": "C", "value": "$(B)!"}]}
    assert _environment(container) == {"A": "$(B)", "B": "2", "C": "2!"}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ({"fieldRef": {"fieldPath": "status.podIP"}}, "127.64.0.9"),
        ({"fieldRef": {"fieldPath": "metadata.annotations['x/y']"}}, "z"),
        ({"fieldRef": {"fieldPath": "spec.nodeName"}}, "node-1"),
        ({"configMapKeyRef": {"name": "conf", "key": "k"}}, "v"),
        ({"secretKeyRef": {"name": "hidden", "key": "s"}}, "t"),
        ({"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}, "16384"),
        ({"resourceFieldRef": {"resource": "requests.cpu", "divisor": "1m"}}, "0"),
    ],
)
def test_value_comes_from_its_source(source: dict[str, Any], value: str) -> None:
    assert _environment(_from(source)) == {"X": value}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"configMapKeyRef": {"name": "none", "key": "k"}}, 'configmap "none" not found'),
        ({"secretKeyRef": {"name": "hidden", "key": "no"}}, "couldn't find key no in Secret hidden"),
    ],
)
def test_missing_source_is_named_unless_it_is_optional(source: dict[str, Any], words: str) -> None:
    with pytest.raises(MissingConfiguration, match=words):
        _environment(_from(source))
    kind = next(iter(source))
    assert _environment(_from({kind: {**source[kind], "optional": True}})) == {}


def test_labels_are_quoted_when_all_are_asked_for() -> None:
    assert field_value(POD, "metadata.labels", {}) == 'app="a\\"b"'


def test_unknown_field_is_refused_by_name() -> None:
    with pytest.raises(UnknownField, match=r"status\.phase"):
        field_value(POD, "status.phase", {})
