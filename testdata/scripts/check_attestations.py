"""Hold a provenance and a bill of materials to what other software asks of them.

    check_attestations.py PROVENANCE SBOM

in-toto's own library (in-toto-attestation) reads and validates the statement, SPDX's (spdx-tools) the document; both say what is wrong.
"""

import json
import sys

from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement, statement_pb2
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

with open(sys.argv[1]) as f:
    said = json.load(f)
message = statement_pb2.Statement()
json_format.ParseDict(said, message)  # unknown fields are errors
whole = statement.Statement.__new__(statement.Statement)
whole.pb = message
whole.validate()
json_format.ParseDict(said["predicate"], provenance_pb2.Provenance())

document = parse_file(sys.argv[2])
problems = validate_full_spdx_document(document, document.creation_info.spdx_version)
for p in problems:
    print(p.validation_message, p.context.spdx_id)
sys.exit(bool(problems))
