"""Minutes at a share of capacity: memory that stays, no errors, and a tail that stays near the middle."""
