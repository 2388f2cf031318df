"""What tools/export-model is made of: where models come from, and what they gave there."""
