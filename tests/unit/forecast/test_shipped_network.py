"""The network that ships with the package is small, and the one that the documented command makes."""

import argparse
import json

import numpy as np

from modelscaler.cli.forecast import add_arguments
from modelscaler.forecast.learning.command import SHIPPED
from modelscaler.forecast.learning.fitting import BLOCKS, WIDTH
from modelscaler.forecast.learning.pretraining import EVERY_HELD_OUT, Pretraining, asked_of, pretraining_of
from modelscaler.forecast.network import MOST_FILE_BYTES, QUANTILE_COUNT, SCHEMA, load_network, shapes
from modelscaler.forecast.networks import features
from modelscaler.forecast.pipeline import MEMBERS, OWN, TUNED

MOST_BYTES = 2_000_000


def wanted() -> Pretraining:
    """Return what `make pretrained` asks for: the command without any option."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    plain = parser.parse_args(["pretrain"])
    assert plain.traces is None
    return pretraining_of(plain.minutes, plain.seed)


def test_the_shipped_file_is_small() -> None:
    assert SHIPPED.stat().st_size < MOST_BYTES < MOST_FILE_BYTES


def test_the_shipped_network_says_of_itself_what_the_command_would_write_now() -> None:
    facts = {name: json.loads(fact) for name, fact in load_network(SHIPPED, features()).facts.items()}
    making = wanted().making

    asked = asked_of(wanted())
    assert {name: facts[name] for name in asked} == asked
    assert asked["other_rows"] == 0
    assert facts.keys() == asked.keys() | {"schema", "rows", "versions", "validation_losses", "relative_losses"}
    assert facts["schema"] == SCHEMA
    learned = making.panels - making.panels // EVERY_HELD_OUT
    assert 0.5 < facts["rows"] / (learned * making.series * making.origins * making.horizons) <= 1.0
    assert facts["versions"].keys() == {"modelscaler", "numpy", "scipy", "torch"}
    assert np.shape(facts["validation_losses"]) == (2, QUANTILE_COUNT)
    assert list(facts["relative_losses"]) == [name for name in MEMBERS if name not in (TUNED, OWN)]


def test_the_shipped_network_has_the_shape_that_the_command_fits() -> None:
    found = {name: weight.shape for name, weight in load_network(SHIPPED, features()).weights.items()}
    assert found == shapes(features(), WIDTH, BLOCKS)
