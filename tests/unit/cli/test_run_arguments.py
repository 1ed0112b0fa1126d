"""What `modelscaler run` makes of its arguments, and what it says to those it cannot use."""

import pytest

from modelscaler.cli import parser_for

RUN = ["run", "--prometheus-url", "http://prometheus:9090"]


@pytest.mark.parametrize(
    "template",
    ["http://{name}.{namespace}.svc", "http://{name}.{namespace}.svc.cluster.local:80", "http://127.0.0.1:8000"],
)
def test_address_of_services_is_taken_as_it_is_when_it_is_one(template: str) -> None:
    assert parser_for(RUN).parse_args([*RUN, "--service-url", template]).service_url == template


def test_services_are_found_by_their_names_when_nothing_is_said() -> None:
    told = parser_for(RUN).parse_args(RUN)
    assert told.service_url.format(name="ranker", namespace="shop") == "http://ranker.shop.svc"
    assert told.activator_image.startswith("modelscaler/operator:")


@pytest.mark.parametrize(
    "template",
    [
        "",
        "{name}.{namespace}.svc",
        "https://{name}.{namespace}.svc",
        "http://",
        "http://{name}.{namespace}.svc/path",
        "http://{service}.{namespace}.svc",
        "http://{}.svc",
        "http://{name",
        "http://{name.host}.svc",
        "http://gateway",
        "http://{name}.shared.svc",
        "http://{namespace}.svc",
        "http://{name[host]}.svc",
    ],
)
def test_address_of_services_is_refused_with_what_was_expected(
    template: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parser_for(RUN).parse_args([*RUN, "--service-url", template])
    told = capsys.readouterr().err
    assert f"argument --service-url: got {template!r}, expected http://HOST" in told
    assert "{name}" in told
