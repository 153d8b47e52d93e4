"""FastCGI: processes that answer many requests, by records over a stream."""
