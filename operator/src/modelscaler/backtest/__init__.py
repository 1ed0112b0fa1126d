"""Rolling-origin scoring of forecasts on recorded load, beside naive baselines and rivals. Pure: no network, no clock."""
