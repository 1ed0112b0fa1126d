from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from modelserver.artifact import MODEL_FILE, VARIANT_FILE, VariantMetadata, write_metadata
from modelserver.errors import InvalidRequestError, LoadError
from modelserver.model import Context
from modelserver.models.text_encoder.family import TextEncoderFamily, partners, recall_at_1
from modelserver.models.text_encoder.lexicon import ABOUT_ONE, ABOUT_TWO
from modelserver.models.text_encoder.messages import draw_meanings, paraphrases
from modelserver.models.text_encoder.model import TextEncoder
from modelserver.models.text_encoder.network import TextEncoder as Network
from modelserver.models.text_encoder.pieces import PAD, PIECES, WORDS, text_pieces, word_pieces
from modelserver.models.text_encoder.recipe import EncoderShape
from modelserver.models.text_encoder.shrinking import every_other_layer, prune_hidden
from modelserver.tensors import Array, InferRequest, Tensor
from tiny_models import TINY_TEXTS

BUCKETS = 2048
SHAPE = EncoderShape(buckets=BUCKETS, width=32, heads=4, hidden=16, layers=3)
TEXTS = ["hello the red lamp is missing", "is the desk in stock", "", "one two three four five six seven eight nine"]


def network(shape: EncoderShape = SHAPE) -> Network:
    torch.manual_seed(0)
    return Network(shape).eval()


def embed(encoder: Network, pieces: Array) -> Array:
    with torch.inference_mode():
        embeddings: Array = encoder(torch.from_numpy(pieces)).numpy()
    return embeddings


def test_misspelt_word_shares_pieces_when_most_letters_are_right() -> None:
    right, wrong, other = (set(word_pieces(word, BUCKETS)) - {PAD} for word in ("armchair", "armchiar", "flask"))
    assert len(right & wrong) >= 3
    assert not right & other


def test_pieces_fill_up_when_text_is_short_and_stop_when_long() -> None:
    pieces = text_pieces(["a lamp", "", "word " * 100, "x" * 5000], BUCKETS)
    assert pieces.shape == (4, WORDS, PIECES)
    assert (pieces[0, 2:] == PAD).all()
    assert (pieces[1] == PAD).all()
    assert (pieces[2, :, 0] != PAD).all()
    assert pieces.max() < BUCKETS


def test_paraphrases_differ_when_written_down() -> None:
    rng = np.random.default_rng(0)
    for meaning in draw_meanings(50, rng):
        first, second = paraphrases(meaning, 2, rng)
        assert first != second


def test_every_template_takes_its_items() -> None:
    assert all(template.count("{item}") == 1 for templates in ABOUT_ONE.values() for template in templates)
    assert all("{item}" in t and "{other}" in t for templates in ABOUT_TWO.values() for t in templates)


def test_meanings_are_others_when_told_which_to_avoid() -> None:
    rng = np.random.default_rng(0)
    held_out = draw_meanings(200, rng)
    training = draw_meanings(200, rng, frozenset(held_out))
    assert len(set(held_out)) == 200
    assert not set(training) & set(held_out)


def test_partner_is_the_swapped_meaning_when_there_are_two_items() -> None:
    meanings = draw_meanings(100, np.random.default_rng(0))
    for meaning, partner in zip(meanings, partners(meanings), strict=True):
        assert meanings[partner] in (meaning.swapped, meaning)
    assert (partners(meanings) != np.arange(100)).sum() > 20


def test_embeddings_have_length_one_whatever_the_text() -> None:
    assert np.allclose(np.linalg.norm(embed(network(), text_pieces(TEXTS, BUCKETS)), axis=1)[[0, 1, 3]], 1.0, atol=1e-5)
    assert np.isfinite(embed(network(), text_pieces([""], BUCKETS))).all()


def test_embedding_is_the_same_when_padding_is_cut_off() -> None:
    pieces = text_pieces(TEXTS, BUCKETS)
    assert np.allclose(embed(network(), pieces), embed(network(), pieces[:, :10]), atol=1e-5)


def test_embedding_differs_when_words_change_places() -> None:
    first, second = embed(network(), text_pieces(["swap red for blue", "swap blue for red"], BUCKETS))
    assert np.abs(first - second).max() > 1e-3


def test_pruning_changes_nothing_when_what_it_cuts_is_dead() -> None:
    encoder, pieces = network(), text_pieces(TEXTS, BUCKETS)
    with torch.no_grad():
        for layer in encoder.layers:
            layer.feed_out.weight[:, ::2] = 0.0  # type: ignore[union-attr, operator]
    narrow = prune_hidden(encoder, 0.5)
    assert narrow.shape.hidden == 8
    assert np.allclose(embed(narrow, pieces), embed(encoder, pieces), atol=1e-5)


def test_student_is_its_teacher_when_the_layers_left_out_pass_everything_on() -> None:
    encoder, pieces = network(), text_pieces(TEXTS, BUCKETS)
    with torch.no_grad():
        for name, value in encoder.layers[1].named_parameters():
            if "_out" in name:
                value.zero_()
    student = every_other_layer(encoder)
    assert student.shape.layers == 2
    assert np.allclose(embed(student, pieces), embed(encoder, pieces), atol=1e-5)


def test_recall_counts_rows_that_find_their_own() -> None:
    asked = np.eye(4, dtype=np.float32)
    assert recall_at_1(asked, asked) == 1.0
    assert recall_at_1(asked, asked[[1, 0, 2, 3]]) == 0.5


def artifact(directory: Path, settings: dict[str, int]) -> Path:
    family = TextEncoderFamily(replace(TINY_TEXTS, shape=SHAPE))
    write_metadata(directory / MODEL_FILE, family.metadata)
    (directory / "full").mkdir()
    variant = VariantMetadata("full", "torch", "model.safetensors", settings=settings)
    write_metadata(directory / "full" / VARIANT_FILE, variant)
    return directory


def text_request(*texts: bytes) -> InferRequest:
    return InferRequest({"text": Tensor("text", "BYTES", np.array(texts, dtype=np.object_))}, ("embeddings",))


def test_texts_become_pieces_when_decoded(tmp_path: Path) -> None:
    model = TextEncoder()
    model.setup(Context(artifact(tmp_path, TextEncoderFamily(TINY_TEXTS).settings(network()))))
    decoded = model.decode(text_request(b"Caf\xc3\xa9 lamp", b"desk")).arrays["pieces"]
    assert np.array_equal(decoded, text_pieces(["cafe lamp", "desk"], BUCKETS))
    assert model.outputs[0].shape == (-1, SHAPE.width)
    assert model.preprocessing_version


def test_request_is_refused_when_a_text_is_not_utf8(tmp_path: Path) -> None:
    model = TextEncoder()
    model.setup(Context(artifact(tmp_path, TextEncoderFamily(TINY_TEXTS).settings(network()))))
    with pytest.raises(InvalidRequestError, match="element 1 is not UTF-8"):
        model.decode(text_request(b"lamp", b"\xff\xfe"))


@pytest.mark.parametrize("settings", [{"buckets": 4096, "width": 32}, {"depth": 3}])
def test_model_does_not_load_when_sizes_disagree(tmp_path: Path, settings: dict[str, int]) -> None:
    with pytest.raises(LoadError):
        TextEncoder().setup(Context(artifact(tmp_path, settings)))
