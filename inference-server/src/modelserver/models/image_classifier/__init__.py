"""Says what a product photo shows: a residual network on generated photos, its images resized and normalised in numpy."""
