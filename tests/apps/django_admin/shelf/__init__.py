"""Documents on a shelf, kept by the admin."""
