"""The server beside LitServe, MLServer and BentoML: same models, same weights, same load, one run."""
