import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelscaler.cli import main
from modelscaler.profiling.counters import largest_rows, mean_rows, read_counters
from modelscaler.profiling.fit import Fit, Line
from modelscaler.profiling.job import LARGEST_REQUEST_BYTES
from modelscaler.profiling.measuring import Measured, client_counts
from modelscaler.profiling.report import as_yaml, config_map, entry, merged, report
from modelscaler.profiling.sample import SampleError, bodies_in, made_up
from modelscaler.profiling.server import Asked
from modelscaler.workload import parse_profile

PAIR = ["--model", "m", "--placement", "cpu", "--variant", "full"]


def page(batches: int, of_up_to_two: int, rows: int) -> str:
    return "\n".join(
        [
            "# TYPE modelserver_batch_size histogram",
            f'modelserver_batch_size_bucket{{le="2.0",variant="full"}} {of_up_to_two}',
            f'modelserver_batch_size_bucket{{le="8.0",variant="full"}} {batches}',
            f'modelserver_batch_size_bucket{{le="+Inf",variant="full"}} {batches}',
            f'modelserver_batch_size_count{{variant="full"}} {batches}',
            f'modelserver_batch_size_sum{{variant="full"}} {rows}',
            "# TYPE modelserver_worker_memory_bytes gauge",
            'modelserver_worker_memory_bytes{worker="0"} 100',
            'modelserver_worker_memory_bytes{worker="1"} 200',
            "",
        ]
    )


def measured() -> Measured:
    asked = Asked(8, (0.01, 0.02, 0.03), 1.5, 0, "", 0.3)
    resampled = (Line(0.0039, 0.003), Line(0.0041, 0.001))
    fit = Fit(Line(0.004, 0.002), (0.0039, 0.0041), (0.001, 0.003), counted=True, resampled=resampled)
    return Measured((asked,), fit, 16, asked, (asked,) * 4, (2.0**30, 2.0**31))


def test_batches_are_counted_between_two_readings() -> None:
    before, after = read_counters(page(10, 10, 10)), read_counters(page(30, 15, 110))
    assert before is not None
    assert after is not None
    assert mean_rows(before, after) == 5.0
    assert largest_rows(before, after) == 8
    assert mean_rows(before, before) is None
    assert largest_rows(before, before) is None
    assert after.memory_bytes == 300.0


@pytest.mark.parametrize("text", ["", "<html>no metrics</html>", "python_info 1\n"])
def test_no_counters_are_found_when_the_server_is_another(text: str) -> None:
    assert read_counters(text) is None


def test_requests_are_made_up_when_none_is_given() -> None:
    metadata = {
        "inputs": [
            {"name": "query", "datatype": "BYTES", "shape": [-1]},
            {"name": "pixels", "datatype": "FP32", "shape": [-1, 2, 3]},
        ]
    }
    bodies = made_up(metadata, 5, seed=1)
    assert bodies == made_up(metadata, 5, seed=1)
    assert len(set(bodies)) == 5
    query, pixels = json.loads(bodies[0])["inputs"]
    assert (query["shape"], len(query["data"])) == ([1], 1)
    assert (pixels["shape"], len(pixels["data"])) == ([1, 2, 3], 6)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "give --request FILE"),
        ({"inputs": [{"name": "x", "datatype": "JPEG", "shape": [-1]}]}, "input 'x' is of type 'JPEG'"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 9000, 9000]}]}, "'x' has 81000000 elements"),
    ],
)
def test_input_is_named_when_no_request_can_be_made_up(metadata: dict[str, object], message: str) -> None:
    with pytest.raises(SampleError, match=message):
        made_up(metadata, 1, seed=0)


def test_bodies_are_read_one_a_line_and_as_one_document() -> None:
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1.5]}]}
    assert bodies_in(json.dumps(body, indent=2), "f") == [json.dumps(body).encode()]
    assert len(bodies_in(f"{json.dumps(body)}\n{json.dumps(body)}\n", "f")) == 2


@pytest.mark.parametrize(
    ("text", "message"), [("", "f: empty"), ('{"inputs": 1}\n{x', "f, line 2"), ("[1]", "an object with inputs")]
)
def test_place_is_named_when_bodies_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(SampleError, match=message):
        bodies_in(text, "f")


@pytest.mark.parametrize(("request_seconds", "most"), [(0.003, 64), (0.05, 32), (0.25, 8), (3.0, 4)])
def test_fewer_clients_ask_when_a_request_takes_long(request_seconds: float, most: int) -> None:
    counts = client_counts(request_seconds)
    assert (counts[0], counts[-1]) == (1, most)


def test_stored_profile_is_what_the_operator_reads() -> None:
    manifest = yaml.safe_load(as_yaml(config_map("p", "ns", merged(None, entry(measured(), "cpu", "full")))))
    assert manifest["metadata"] == {"name": "p", "namespace": "ns"}
    (read,) = parse_profile(manifest["data"]["profile.json"])
    assert (read.placement, read.variant, read.max_batch) == ("cpu", "full", 16)
    assert (float(read.per_request_milliseconds), float(read.overhead_milliseconds)) == (4.0, 2.0)
    assert read.relative_error == "0.0082"  # from 240.5 to 244.4 requests/s
    assert float(read.tail_milliseconds) == pytest.approx(23.8)  # 29.8 ms alone, of which 6 ms are the batch


def test_tail_is_none_when_even_slow_requests_take_less_than_a_batch_of_one() -> None:
    quick = replace(measured(), timed=Asked(1, (0.001, 0.002), 0.1, 0, "", 0.3))
    assert quick.tail_seconds == 0.0


def test_only_the_same_pair_is_replaced_when_a_profile_is_stored_already() -> None:
    first = merged(None, entry(measured(), "cpu", "full"))
    second = merged(first, entry(measured(), "gpu", "full"))
    third = merged(second, {**entry(measured(), "cpu", "full"), "maxBatch": 3})
    assert [(one.placement, one.max_batch) for one in parse_profile(third)] == [("gpu", 16), ("cpu", 3)]
    with pytest.raises(ValueError, match="expected a profile"):
        merged("[]", entry(measured(), "cpu", "full"))


def test_report_gives_line_interval_and_memory() -> None:
    text = report(measured())
    assert "4.000 ms (3.900 to 4.100, 90 % interval)" in text
    assert "242.4 requests/s with full batches, give or take 0.8 %" in text
    assert "tail         23.800 ms" in text
    assert "1024 MiB before, 2048 MiB after" in text
    assert "3 inferences one after the other in 1.50 s" in text


def test_report_warns_only_when_its_own_clients_were_what_was_measured() -> None:
    of_busy_clients = replace(measured(), loops=(replace(measured().timed, busy_share=0.97),))
    assert "client       computing 97% of the time with 8 clients" in report(of_busy_clients)
    assert "client " not in report(measured())


def test_job_is_restricted_and_runs_the_same_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "http://one:8080", *PAIR, "--job", "-n", "shop", "--max-batch", "4"]) == 0
    job = yaml.safe_load(capsys.readouterr().out)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (job["kind"], job["metadata"]["namespace"]) == ("Job", "shop")
    assert container["args"][:4] == ["profile", "http://one:8080", "--model", "m"]
    assert container["args"][-4:] == ["--max-batch", "4", "--output", "-"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not pod["automountServiceAccountToken"]
    assert "volumes" not in pod


def printed_job(capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    """Return what --job prints, by kind."""
    assert main(["profile", "http://one:8080", *PAIR, "--job", "-n", "shop", *more]) == 0
    return {found["kind"]: found for found in yaml.safe_load_all(capsys.readouterr().out)}


def test_job_may_write_its_own_profile_alone_when_it_applies(capsys: pytest.CaptureFixture[str]) -> None:
    printed = printed_job(capsys, "--apply", "--name", "speeds")
    assert list(printed) == ["ServiceAccount", "Role", "RoleBinding", "Job"]
    assert {found["metadata"]["namespace"] for found in printed.values()} == {"shop"}
    (rule,) = printed["Role"]["rules"]
    assert (rule["resources"], rule["resourceNames"]) == (["configmaps"], ["speeds"])
    assert rule["verbs"] == ["get", "create", "patch"]
    account = printed["ServiceAccount"]["metadata"]["name"]
    assert [(one["name"], one["namespace"]) for one in printed["RoleBinding"]["subjects"]] == [(account, "shop")]
    assert printed["RoleBinding"]["roleRef"]["name"] == printed["Role"]["metadata"]["name"]
    pod = printed["Job"]["spec"]["template"]["spec"]
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == (account, True)
    own = pod["containers"][0]["args"]
    assert own[-1] == "--apply"
    assert "--output" not in own
    assert own[own.index("--name") + 1] == "speeds"


def test_job_finds_the_requests_where_it_looks_for_them_when_a_file_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "queries.jsonl"
    file.write_text('{"inputs": [1]}\n{"inputs": ["é: {}"]}\n')
    printed = printed_job(capsys, "--request", str(file))
    assert list(printed) == ["ConfigMap", "Job"]
    ((key, text),) = printed["ConfigMap"]["data"].items()
    assert text == file.read_text()
    pod = printed["Job"]["spec"]["template"]["spec"]
    (container,), (volume,) = pod["containers"], pod["volumes"]
    (mount,) = container["volumeMounts"]
    assert volume["configMap"]["name"] == printed["ConfigMap"]["metadata"]["name"]
    assert mount["name"] == volume["name"]
    own = container["args"]
    assert own[own.index("--request") + 1] == f"{mount['mountPath']}/{key}"
    assert not pod["automountServiceAccountToken"]


def test_requests_and_profile_are_two_configmaps_whatever_the_profile_is_called(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "one.json"
    file.write_text('{"inputs": [1]}')
    printed = printed_job(capsys, "--apply", "--request", str(file), "--name", "profile-cpu-full")
    assert printed["ConfigMap"]["metadata"]["name"] != "profile-cpu-full"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"inputs": ["' + "x" * LARGEST_REQUEST_BYTES + '"]}',
            "--request: got '1048592 bytes', expected at most 1048576",
        ),
        ("[1]", "queries.jsonl: [1]: expected an object with inputs"),
    ],
)
def test_no_job_is_printed_when_it_could_not_ask_what_is_in_the_file(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "queries.jsonl"
    file.write_text(text)
    assert main(["profile", "http://one:8080", *PAIR, "--job", "--request", str(file)]) == 1
    found = capsys.readouterr()
    assert message in found.err
    assert not found.out


@pytest.mark.parametrize(
    ("url", "message"), [("one:8080", "expected http://HOST:PORT"), ("http://127.0.0.1:9", "http://127.0.0.1:9/v2")]
)
def test_address_is_named_when_no_server_answers(url: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", url, *PAIR]) == 1
    assert message in capsys.readouterr().err


def test_file_is_named_when_the_request_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "http://127.0.0.1:9", *PAIR, "--request", str(tmp_path / "none.json")]) == 1
    assert "none.json" in capsys.readouterr().err
