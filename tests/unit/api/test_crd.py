"""The CustomResourceDefinition: bounded, described, defaulted, and written to three places that cannot drift."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelscaler.api import crd as crd_module
from modelscaler.api.crd import CHART_FILE, CRD_FILE, REFERENCE_FILE, crd, crd_yaml, main, root_schema

FORBIDDEN_KEYWORDS = {
    "$ref",
    "$defs",
    "title",
    "nullable",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "const",
    "oneOf",
    "allOf",
}


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every schema below `schema` with its path, itself first."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from nodes(schema["additionalProperties"], f"{path}{{}}")


ALL_NODES = [
    (path, node) for path, node in nodes(root_schema()) if path not in {".apiVersion", ".kind", ".metadata", ""}
]


def test_every_node_is_bounded() -> None:
    bounds = {"string": "maxLength", "array": "maxItems"}
    unbounded = [
        path for path, node in ALL_NODES
        if (bound := bounds.get(node.get("type", ""))) and bound not in node and "enum" not in node
    ]  # fmt: skip
    open_maps = [path for path, node in ALL_NODES if "additionalProperties" in node and "maxProperties" not in node]

    assert unbounded + open_maps == []


def test_every_integer_of_the_spec_has_a_range() -> None:
    integers = [(p, n) for p, n in ALL_NODES if p.startswith(".spec") and n.get("type") == "integer"]

    assert integers
    assert [path for path, node in integers if not {"minimum", "maximum"} <= set(node)] == []


def test_every_field_is_described_in_a_sentence() -> None:
    fields = [(p, n) for p, n in ALL_NODES if not p.endswith(("[]", "{}"))]

    assert len(fields) > 100
    assert [path for path, node in fields if not node.get("description", "").endswith(".")] == []


def test_no_keyword_appears_that_a_structural_schema_forbids() -> None:
    assert [(path, FORBIDDEN_KEYWORDS & set(node)) for path, node in ALL_NODES if FORBIDDEN_KEYWORDS & set(node)] == []


def test_no_scale_subresource_invites_another_autoscaler() -> None:
    assert crd()["spec"]["versions"][0]["subresources"] == {"status": {}}


def test_printer_columns_point_at_fields_that_exist() -> None:
    paths = {path for path, _ in ALL_NODES}
    columns = {c["name"]: c["jsonPath"] for c in crd()["spec"]["versions"][0]["additionalPrinterColumns"]}

    assert list(columns) == ["Placement", "Variant", "Desired", "Ready", "Load", "Paused", "Age"]
    plain = [p for p in columns.values() if not p.startswith(".metadata") and "[?" not in p]
    assert [path for path in plain if path not in paths] == []


def test_yaml_reads_back_as_the_same_definition_without_anchors() -> None:
    assert yaml.load(crd_yaml(), yaml.CSafeLoader) == crd()
    assert "&id" not in crd_yaml()


def test_chart_template_holds_the_whole_definition_and_nothing_helm_would_expand() -> None:
    template = crd_module.chart_template()

    assert crd_yaml().partition("spec:\n")[2] in template
    assert "{{" not in crd_yaml()


def test_written_files_pass_the_check_until_one_of_them_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ["--root", str(tmp_path)]

    assert main(["check", *root]) == 1
    assert main(["write", *root]) == 0
    assert main(["check", *root]) == 0
    (tmp_path / CRD_FILE).write_text("edited by hand")
    capsys.readouterr()
    assert main(["check", *root]) == 1
    assert capsys.readouterr().err == f"differs from the types, run `make crds`: {CRD_FILE}\n"


def test_write_touches_nothing_when_all_is_current(tmp_path: Path) -> None:
    main(["write", "--root", str(tmp_path)])

    assert crd_module.write_files(tmp_path) == []


def test_definition_is_printed_when_no_action_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out == crd_yaml()


def test_reference_names_every_field_and_rule() -> None:
    page = crd_module.generated_files()[REFERENCE_FILE]
    names = {path.rpartition(".")[2] for path, _ in ALL_NODES if not path.endswith(("[]", "{}"))}
    rules = [rule["message"] for _, node in ALL_NODES for rule in node.get("x-kubernetes-validations", [])]

    assert [name for name in names if f"`{name}`" not in page and f"## {name}" not in page] == []
    assert rules
    assert [rule for rule in rules if rule not in page] == []


def test_generated_files_go_where_the_layout_says() -> None:
    assert {CRD_FILE, CHART_FILE, REFERENCE_FILE} == set(crd_module.generated_files())
