"""win32traceutil: on Windows, sends stdout and stderr to a collector when imported.

In a worker both go to the pool's log already.
"""
