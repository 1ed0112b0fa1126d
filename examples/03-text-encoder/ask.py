"""Embeds messages that customers wrote, and prints for each the one that means most nearly the same."""

import json
import sys
import urllib.request

import numpy as np

MESSAGES = [
    "i ordered the black sofa but got the blue lamp last week",
    "i ordered the blue lamp but got the black sofa last week",
    "seven days ago you sent the navy light, not the ebony couch that i paid for",
    "how do i clean the red kettle this morning",
    "today care instructions for the crimson teapot please help",
    "track the shipment of the white mirror since yesterday",
    "a day ago where is my ivory looking glass right now",
]

url = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:8080"
body = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [len(MESSAGES)], "data": MESSAGES}]}
request = urllib.request.Request(  # noqa: S310 - http, to the server of the README
    f"{url}/v2/models/text-encoder/infer", json.dumps(body).encode(), {"Content-Type": "application/json"}
)
with urllib.request.urlopen(request) as response:  # noqa: S310 - ditto
    answer = json.load(response)
(output,) = answer["outputs"]
embeddings = np.array(output["data"]).reshape(output["shape"])
alike = embeddings @ embeddings.T - 2 * np.eye(len(MESSAGES))
print(f"answered by {answer['model_version']}")
for message, row in zip(MESSAGES, alike, strict=True):
    print(f"{message}\n    {row.max():.2f}  {MESSAGES[int(row.argmax())]}")
