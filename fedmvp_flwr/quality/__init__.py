"""How good completions are, measured against what they stand for."""
