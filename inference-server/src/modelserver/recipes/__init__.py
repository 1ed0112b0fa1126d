"""How variants are made from a trained network, judged, and refused when they answer wrongly."""
