#!/bin/sh
# Makes engine/sign/testdata with cosign (2.6.5): signatures that this project must take.
#
#   make_signatures.sh REPOSITORY PLAN OUT
#
# REPOSITORY is of a registry on this machine without passwords; cosign and llmc are in PATH. What is made differs each time: ECDSA draws numbers.
set -eu
repository=$1 plan=$2 out=$3
export COSIGN_PASSWORD=vector
mkdir -p "$out"
cd "$out"
rm -f cosign.key cosign.pub
cosign generate-key-pair
reference=$(llmc push "$plan" "$repository:vector" --json | sed -n 's/.*"reference":"oci:\/\/\([^"]*\)".*/\1/p')
reference=$repository@${reference#*@}
echo "$reference" | sed 's/.*@//' >digest.txt
cosign sign --key cosign.key --tlog-upload=false -y "$reference" --output-payload payload.json --output-signature signature.txt
cosign sign --key cosign.key --tlog-upload=false -y --new-bundle-format "$reference"
cosign attest --key cosign.key --tlog-upload=false -y --new-bundle-format --type spdxjson --predicate - "$reference" <<END
{"spdxVersion": "SPDX-2.3"}
END
# Bundles are what refers to the manifest; the registry lists them under a tag.
list() { curl -sf -H 'Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json' "http://${repository%%/*}/v2/${repository#*/}/$1"; }
list "manifests/$(tr : - <digest.txt)" | python3 -c 'import json, sys; [print(m["digest"]) for m in json.load(sys.stdin)["manifests"]]' | while read -r manifest; do
	list "manifests/$manifest" >manifest.json
	case $(cat manifest.json) in
	*cosign/sign/v1*) name=signature.bundle.json ;;
	*) name=attestation.bundle.json ;;
	esac
	list "blobs/$(python3 -c 'import json; print(json.load(open("manifest.json"))["layers"][0]["digest"])')" >"$name"
done
rm manifest.json
printf 'a file\n' >file.txt
cosign sign-blob --key cosign.key --bundle file.bundle.json --new-bundle-format --tlog-upload=false -y file.txt >/dev/null
