"""What benchmarks and process tests share: a load client, a home to run, meters, tables."""
