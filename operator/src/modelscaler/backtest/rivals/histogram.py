"""scikit-learn's histogram gradient boosting as a rival."""

from typing import Any, Final

from modelscaler.backtest.rivals.boosted import SEED, Boosted


def histogram_regressor(level: float) -> Any:
    """Return an unfitted quantile regression."""
    from sklearn.ensemble import HistGradientBoostingRegressor  # noqa: PLC0415 - dear to import, and few need it

    return HistGradientBoostingRegressor(
        loss="quantile",
        quantile=level,
        max_iter=120,
        learning_rate=0.08,
        max_leaf_nodes=15,
        min_samples_leaf=30,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=SEED,
    )


HGB_RATIO: Final = Boosted("hgb-ratio", "ratio", histogram_regressor)
HGB_DIFFERENCE: Final = Boosted("hgb-difference", "difference", histogram_regressor)
HGB_ANCHOR: Final = Boosted("hgb-anchor", "anchor", histogram_regressor)
