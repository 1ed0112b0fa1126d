"""The search ranker in seconds: the shipped recipe with every size cut, the same code."""

from modelserver.models.search_ranker.recipe import NetworkShape, Recipe

TINY = Recipe(
    catalogue_size=600,
    training_searches=2500,
    held_out_searches=80,
    calibration_searches=16,
    batch_searches=16,
    embedding_steps=300,
    encoder_steps=100,
    tuning_steps={"pruned": 20, "distilled": 20},
    shape=NetworkShape(buckets=2048, width=64, head_width=16, hidden=128),
    pruned=NetworkShape(buckets=2048, width=64, head_width=16, heads=2, hidden=64),
    student=NetworkShape(buckets=2048, width=64, head_width=16, heads=2, hidden=64, summary_last=True),
    min_accuracy=0.7,
    max_accuracy_loss=0.03,
    max_accuracy_loss_of_smaller=0.1,
    min_cosine=0.99,
    min_cosine_of_smaller=0.7,
)
TINY_VARIANTS = ("full", "int8", "pruned", "distilled", "distilled-int8")
