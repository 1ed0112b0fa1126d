"""Prometheus in the cluster."""

import json
import urllib.error
import urllib.parse
import urllib.request

import pytest

from localcluster.cluster import Cluster
from pods import POD_IP, Namespace, container, eventually, pod

pytestmark = pytest.mark.integration

METRICS_SERVER = """
import http.server, os
class Metrics(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/numbers" else 404)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(b"answer 42\\n")
http.server.HTTPServer((os.environ["POD_IP"], 9000), Metrics).serve_forever()
"""
HERE = {"kubernetes.io/hostname": "node-1"}
ANNOTATIONS = {"prometheus.io/scrape": "true", "prometheus.io/port": "9000", "prometheus.io/path": "/numbers"}


def _query(cluster: Cluster, expression: str) -> list[float]:
    url = f"{cluster.prometheus_url}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own http address
            return [float(series["value"][1]) for series in json.load(answer)["data"]["result"]]
    except urllib.error.URLError:
        return []


def test_pod_is_scraped_when_its_annotations_ask_for_it(cluster: Cluster, namespace: Namespace) -> None:
    main = container(["python", "-c", METRICS_SERVER], env=[POD_IP])
    namespace.apply(pod("counted", main, metadata={"annotations": ANNOTATIONS}, nodeSelector=HERE), pod("silent", main))
    expression = f'answer{{namespace="{namespace.name}",pod="counted",node="node-1"}}'
    assert eventually(lambda: _query(cluster, expression)) == [42.0]
    assert _query(cluster, f'up{{pod="silent",namespace="{namespace.name}"}}') == []


def test_history_is_there_when_blocks_were_given(cluster: Cluster) -> None:
    assert _query(cluster, "last_over_time(remembered[2h])") == [7.0]


def test_prometheus_goes_away_and_comes_back_with_its_data_when_told(cluster: Cluster) -> None:
    cluster.change_part("prometheus", "stop")
    assert _query(cluster, "vector(1)") == []
    cluster.change_part("prometheus", "start")
    assert eventually(lambda: _query(cluster, "last_over_time(remembered[2h])")) == [7.0]
    assert cluster.running
