"""The modules that come with the worker, under IIS's names; none imports another."""
