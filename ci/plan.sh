#!/bin/sh
# Builds a plan, pushes it with its provenance and a bill of materials, and signs it: what the GitHub Action and the GitLab template run, and what any other CI may.
# Whatever fails ends it, and the reference is not moved: a gate before anything is pushed. docs/ci.md says what the variables mean.
set -eu

: "${PLAN_MODEL:?the checkpoint: a directory, a .gguf file, or org/name@revision of the Hub}"
: "${PLAN_REFERENCE:?where to push: registry/repository:tag, or oci-layout:DIR:tag}"
plan=${PLAN_FILE:-engine.plan}

# Arguments of a build, one by one: values may have blanks.
set -- build "$PLAN_MODEL" -o "$plan" --arch "${PLAN_ARCH:-sm90}"
[ -z "${PLAN_QUANT:-}" ] || set -- "$@" --quant "$PLAN_QUANT"
[ -z "${PLAN_GATE:-}" ] || set -- "$@" --gate "$PLAN_GATE"
[ -z "${PLAN_CALIB:-}" ] || set -- "$@" --calib "$PLAN_CALIB"
# shellcheck disable=SC2086 # words on purpose
set -- "$@" ${PLAN_BUILD_FLAGS:-}
llmc "$@"

set -- push "$plan" "$PLAN_REFERENCE" --provenance --sbom --json
[ -z "${PLAN_BUILDER_ID:-}" ] || set -- "$@" --builder-id "$PLAN_BUILDER_ID"
if [ -n "${PLAN_SIGNING_KEY:-}" ]; then
	set -- "$@" --key env://PLAN_SIGNING_KEY
else
	echo "plan.sh: PLAN_SIGNING_KEY is empty: the plan is not signed" >&2
fi
pushed=$(llmc "$@")
echo "$pushed"

reference=$(printf '%s' "$pushed" | sed -n 's/.*"reference":"\([^"]*\)".*/\1/p')
digest=$(printf '%s' "$pushed" | sed -n 's/.*"digest":"\([^"]*\)".*/\1/p')
if [ -n "${PLAN_PUBLIC_KEY:-}" ]; then
	llmc verify-signature "$reference" --key env://PLAN_PUBLIC_KEY
fi
# What later steps read: of GitHub a file that it names, of GitLab a report.
printf 'reference=%s\ndigest=%s\n' "$reference" "$digest" >>"${GITHUB_OUTPUT:-/dev/null}"
[ -z "${PLAN_DOTENV:-}" ] || printf 'PLAN_REFERENCE_PUSHED=%s\nPLAN_DIGEST=%s\n' "$reference" "$digest" >"$PLAN_DOTENV"
