"""LightGBM, one model per trace and quantile, as rivals."""

from typing import Any

from lightgbm import LGBMRegressor

from modelscaler.backtest.rivals.boosted import SEED, Boosted


def lightgbm_regressor(level: float) -> Any:
    """Return an unfitted quantile regression."""
    return LGBMRegressor(
        objective="quantile",
        alpha=level,
        n_estimators=150,
        learning_rate=0.06,
        num_leaves=15,
        min_child_samples=40,
        subsample=0.8,
        subsample_freq=1,
        colsample_bytree=0.8,
        reg_lambda=1.0,
        n_jobs=1,
        random_state=SEED,
        deterministic=True,
        force_col_wise=True,
        verbosity=-1,
    )


LIGHTGBM_DIFFERENCE = Boosted("lightgbm-difference", "difference", lightgbm_regressor)
LIGHTGBM_ANCHOR = Boosted("lightgbm-anchor", "anchor", lightgbm_regressor)
