"""The template's rehearsal: what a worker would do first has been done, and nothing else."""

import subprocess
import sys


def test_a_rehearsal_leaves_no_trace_but_modules():
    """All built-in modules are imported; sys.path and threads are as before, nothing is logged."""
    code = (
        "import sys, threading; path = list(sys.path);"
        "from was.worker.rehearsal import rehearse; rehearse(); rehearse();"
        "assert sys.path == path; assert threading.active_count() == 1;"
        "print(*(f'was.worker.modules.{n}' in sys.modules for n in ('wsgi', 'static_file')))"
    )
    run = [sys.executable, "-P", "-c", code]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
    assert done.stderr == ""
