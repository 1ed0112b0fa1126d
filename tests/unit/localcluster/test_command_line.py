"""The grammar of the command line, and what it refuses."""

from pathlib import Path

import pytest

from localcluster.commands import nodes
from localcluster.commands.parser import parse
from localcluster.errors import LocalClusterError
from localcluster.images import ImageTable
from localcluster.spec import ClusterSpec, Image, NodeSpec


def test_what_follows_kubectl_is_kubectls() -> None:
    arguments = parse(["--name", "x", "kubectl", "get", "pods", "--context", "y"])
    assert (arguments.name, arguments.context, list(arguments.rest)) == ("x", None, ["get", "pods", "--context", "y"])


def test_options_are_taken_after_the_command_too() -> None:
    assert parse(["down", "--name", "x"]).name == "x"
    assert parse(["--name", "x", "down"]).name == "x"


def test_image_is_added_with_everything_after_the_dashes_as_its_command(tmp_path: Path) -> None:
    words = [
        "image",
        "add",
        "x",
        "--env",
        "A=b=c",
        "--path",
        "/opt/bin",
        "--state-dir",
        str(tmp_path),
        "--",
        "serve",
        "--fast",
    ]
    arguments = parse(words)
    assert arguments.command(arguments) == 0
    expected = Image("x", env={"A": "b=c"}, path=("/opt/bin",), command=("serve", "--fast"))
    assert ImageTable(tmp_path / "images.json").find("x") == expected


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["node", "add", "n", "--accelerator", "gpu=1"], "expected RESOURCE=COUNT"),
        (["node", "add", "n", "--accelerator", "nvidia.com/gpu=many"], "expected RESOURCE=COUNT"),
        (["node", "add", "n", "--taint", "a=b"], "expected KEY=VALUE:EFFECT"),
        (["node", "add", "n", "--label", "a"], "expected KEY=VALUE"),
        (["node", "add", "n", "--cpu", "lots"], "--cpu: quantity 'lots'"),
        (["node", "add"], "expected a node's name"),
        (["node", "fail", "n", "--context", "other"], "works on local clusters only"),
        (["down", "--kubeconfig", "/elsewhere"], "works on local clusters only"),
        (["node", "fail", "n"], "no cluster in"),
    ],
)
def test_wrong_words_are_named_with_what_was_expected(words: list[str], error: str, tmp_path: Path) -> None:
    arguments = parse([*words, "--state-dir", str(tmp_path / "none")])
    with pytest.raises(LocalClusterError, match=error):
        arguments.command(arguments)


def test_node_spec_is_what_the_flags_say() -> None:
    flags = ["--cpu", "2", "--accelerator", "nvidia.com/gpu=4", "--label", "a=b", "--taint", "k=v:NoSchedule"]
    spec = nodes._node_spec(parse(["node", "add", "gpu-0", *flags]))
    assert (spec.name, spec.cpu, spec.accelerators, spec.labels) == ("gpu-0", "2", {"nvidia.com/gpu": 4}, {"a": "b"})
    assert [(taint.key, taint.value, taint.effect) for taint in spec.taints] == [("k", "v", "NoSchedule")]


@pytest.mark.parametrize("name", ["", "Upper", "-x", "x" * 41, "a/b"])
def test_cluster_name_is_refused_when_it_cannot_name_everything(name: str, tmp_path: Path) -> None:
    with pytest.raises(LocalClusterError, match="expected up to 40"):
        ClusterSpec(name, tmp_path)


def test_api_only_cluster_with_nodes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LocalClusterError, match="api_only"):
        ClusterSpec("x", tmp_path, api_only=True, nodes=(NodeSpec("n"),))
