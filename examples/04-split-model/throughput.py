"""Asks a server for some seconds from several connections at once; prints images per second."""

import argparse
import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from modelserver.models.image_classifier.photos import take_photos

ROWS, PIXELS = 8, 32


def ask_until(deadline: float, port: int, body: bytes, header_length: int) -> int:
    """Return how many images one connection had answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(header_length)}
    answered = 0
    while time.monotonic() < deadline:
        connection.request("POST", "/v2/models/inception/infer", body, headers)
        response = connection.getresponse()
        content = response.read()
        if response.status != http.client.OK:
            raise SystemExit(f"answered {response.status}: {content.decode(errors='replace')}")
        answered += ROWS
    connection.close()
    return answered


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--port", type=int, default=8080)
parser.add_argument("--seconds", type=float, default=5.0)
parser.add_argument("--connections", type=int, default=8)
arguments = parser.parse_args()
images = take_photos(ROWS, PIXELS, np.random.default_rng(0)).images
tensor = {
    "name": "images",
    "datatype": "UINT8",
    "shape": list(images.shape),
    "parameters": {"binary_data_size": images.nbytes},
}
header = json.dumps({"inputs": [tensor], "outputs": [{"name": "class"}]}).encode()
start = time.monotonic()
with ThreadPoolExecutor(arguments.connections) as pool:
    parts = [
        pool.submit(ask_until, start + arguments.seconds, arguments.port, header + images.tobytes(), len(header))
        for _ in range(arguments.connections)
    ]
    answered = sum(part.result() for part in parts)
print(f"{answered / (time.monotonic() - start):.0f} images per second")
