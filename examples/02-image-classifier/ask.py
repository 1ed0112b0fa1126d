"""Sends generated product photos to the server, as a binary tensor, and prints what it says of them."""

import json
import sys
import urllib.request

import numpy as np

from modelserver.models.image_classifier.photos import LABELS, take_photos

PHOTOS, PIXELS = 8, 64

url = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:8080"
photos = take_photos(PHOTOS, PIXELS, np.random.default_rng(2026))
pixels = photos.images.tobytes()
tensor = {
    "name": "images",
    "datatype": "UINT8",
    "shape": list(photos.images.shape),
    "parameters": {"binary_data_size": len(pixels)},
}
header = json.dumps({"inputs": [tensor], "outputs": [{"name": "label"}, {"name": "probabilities"}]}).encode()
request = urllib.request.Request(  # noqa: S310 - http, to the server of the README
    f"{url}/v2/models/image-classifier/infer",
    header + pixels,
    {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(header))},
)
with urllib.request.urlopen(request) as response:  # noqa: S310 - ditto
    answer = json.load(response)
outputs = {output["name"]: output["data"] for output in answer["outputs"]}
sure = np.array(outputs["probabilities"]).reshape(PHOTOS, -1).max(axis=1)
print(f"answered by {answer['model_version']}")
for label, true, probability in zip(outputs["label"], photos.labels, sure, strict=True):
    print(f"{label:10} {probability:6.1%}   shown: {LABELS[true]}")
