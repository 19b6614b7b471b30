"""What projects may have: where the numbers come from, and how they are asked for."""
