"""What a worker is to Linux and to Python: signals, output, the collector, threads, its end."""
