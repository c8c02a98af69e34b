"""Reads lines {"schema": text, "text": text} and says which texts are not valid under their schema, with decimals exactly and formats asserted."""
import json
import sys
from decimal import Decimal

from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for

right = total = 0
for line in sys.stdin:
    row = json.loads(line)
    schema = json.loads(row["schema"], parse_float=Decimal)
    value = json.loads(row["text"], parse_float=Decimal)
    kind = validator_for(schema, default=Draft202012Validator)
    error = next(kind(schema, format_checker=kind.FORMAT_CHECKER).iter_errors(value), None)
    total += 1
    right += error is None
    if error is not None:
        print(row["text"], "under", row["schema"], error.message)
print(f"{right} of {total} valid")
