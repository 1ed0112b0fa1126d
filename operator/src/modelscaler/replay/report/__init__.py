"""What a comparison of policies found: tables, figures, timelines, pictures, a page."""
