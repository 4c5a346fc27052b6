"""The tour: a commit that is promoted, a better one, and a bad one that is rolled back."""
