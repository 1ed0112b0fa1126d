from typing import Any

import pytest

from modelserver.serving.health import Facts, why_not_accepting, why_not_live, why_not_ready
from modelserver.serving.routes import Route, parse_path


def make_facts(**changes: Any) -> Facts:
    return Facts(**{"phase": "serving", "started": True, "workers_ready": 1, **changes})


@pytest.mark.parametrize(
    ("changes", "live", "ready", "accepting"),
    [
        ({}, True, True, True),
        ({"started": False, "workers_ready": 0}, True, False, False),
        ({"workers_ready": 0}, True, False, True),
        ({"phase": "lame duck"}, True, False, True),
        ({"phase": "draining"}, True, False, False),
        ({"failure": ValueError("x")}, False, False, False),
        ({"stalled_seconds": 29.0}, True, True, True),
        ({"stalled_seconds": 31.0}, False, False, False),
        ({"siblings_waited_for": 1}, True, False, True),
    ],
)
def test_health_tells_the_truth(changes: dict[str, Any], live: bool, ready: bool, accepting: bool) -> None:
    facts = make_facts(**changes)
    told = (why_not_live(facts) is None, why_not_ready(facts) is None, why_not_accepting(facts) is None)
    assert told == (live, ready, accepting)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v2", Route("server")),
        ("/v2/", Route("server")),
        ("/v2/models/a", Route("model", "a")),
        ("/v2/models/a/infer", Route("infer", "a")),
        ("/v2/models/a/versions/b/infer", Route("infer", "a", "b")),
        ("/v2/models/a/versions/b", Route("model", "a", "b")),
        ("/v2/models/a/versions/b/ready", Route("model ready", "a", "b")),
        ("/v2/models//infer", None),
        ("/v2/models/a/versions", None),
        ("/v2/models/a/versions//infer", None),
        ("/v2/models/a/infer/more", None),
        ("/", None),
        ("", None),
    ],
)
def test_path_is_understood(path: str, expected: Route | None) -> None:
    assert parse_path(path) == expected
