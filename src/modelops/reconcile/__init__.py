"""observe → decide → act → summarise, for every kind."""
