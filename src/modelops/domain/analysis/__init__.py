"""How a canary is judged: queries, windows, verdicts, policies. Pure."""
