"""The nouns: what users write, and the names modelops gives to what it makes."""
