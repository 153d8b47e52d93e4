"""The load client: `was load`, the tests and the benchmarks count requests' fates with it."""
