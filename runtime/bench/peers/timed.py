"""Runs a command and notes in a file what it took: seconds, kilobytes at most, what, separated by tabs.  timed.py FILE WHAT COMMAND..."""
import resource
import subprocess
import sys
import time

began = time.time()
code = subprocess.run(sys.argv[3:]).returncode
if code == 0:
    with open(sys.argv[1], "a") as notes:
        print(f"{time.time() - began:.2f}", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, sys.argv[2], sep="\t", file=notes)
sys.exit(code)
