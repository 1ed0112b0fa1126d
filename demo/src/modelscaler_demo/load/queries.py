"""What shoppers type: search requests in the Open Inference Protocol v2."""

import json

import numpy as np

_COLOURS = ("black", "navy", "red", "olive", "grey", "brown", "ivory", "mustard")
_MATERIALS = ("leather", "cotton", "merino", "nylon", "steel", "wooden", "alloy", "ceramic")
_THINGS = (
    "sneaker", "boot", "jacket", "fleece", "trousers", "shorts", "backpack", "suitcase", "tent", "blanket", "couch",
    "armchair", "desk", "shelf", "lamp", "kettle", "flask", "pan", "headphones", "speaker", "bike", "watch",
)  # fmt: skip
_WISHES = ("", "for women", "for men", "for kids", "on sale", "waterproof", "ultralight", "best")


def search_text(rng: np.random.Generator) -> str:
    """Draw one search as a shopper would type it."""
    words = (rng.choice(_COLOURS), rng.choice(_MATERIALS), rng.choice(_THINGS), rng.choice(_WISHES))
    return " ".join(str(word) for word in words if word)


def infer_body(text: str) -> bytes:
    """Write one search as a v2 infer request."""
    tensor = {"name": "query", "datatype": "BYTES", "shape": [1], "data": [text]}
    return json.dumps({"inputs": [tensor]}).encode()


def infer_bodies(count: int, seed: int) -> tuple[bytes, ...]:
    """Return `count` request bodies; the same seed gives the same ones."""
    rng = np.random.default_rng(seed)
    return tuple(infer_body(search_text(rng)) for _ in range(count))
