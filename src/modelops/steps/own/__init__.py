"""A team's own training code: brought, run without credentials, collected and judged by ours. See docs/training.md."""
