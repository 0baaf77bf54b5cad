"""JSON scenarios: what they say, what came of them, and whether that can be right."""
