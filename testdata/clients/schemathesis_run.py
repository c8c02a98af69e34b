"""Has schemathesis try a running llmrun server by its own OpenAPI document.

usage: schemathesis_run.py ADDRESS KEY DIR

All default checks, examples that a seed fixes; DIR is for what is written. Operations that need what the server has not (a
repository, adapters), or whose tensors depend on the model, may refuse what their schema takes.
"""

import os
import pathlib
import subprocess
import sys

address, key, directory = sys.argv[1:]
here = pathlib.Path(__file__).parent
directory = pathlib.Path(directory)

CONFIG = """
headers = { Authorization = "Bearer KEY" }
seed = 1
request-timeout = 30
workers = 2
suppress-health-check = ["all"]

[generation]
max-examples = 3
database = "none"

[phases.stateful]
enabled = false

[[operations]]
include-path-regex = "/infer$|/v2/repository/|lora_adapter$"
checks.positive_data_acceptance.enabled = false
"""

config = directory / "schemathesis.toml"
config.write_text(CONFIG.replace("KEY", key))
environment = {**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(here), "NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}
command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", address + "/openapi.json"]
sys.exit(subprocess.run(command, cwd=directory, env=environment).returncode)
