#!/bin/sh
# Lints the chart, renders it with every file of values in ci/, and holds the results, and KServe's manifests, to schemas.
# check.sh HELM PYTHON CRD.yaml...
set -eu
cd "$(dirname "$0")"
helm=$1 python=$2
shift 2
kube=1.34
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for values in helm/llmrun/ci/*-values.yaml; do
	"$helm" lint --strict --quiet --kube-version $kube.0 helm/llmrun --values "$values"
	"$helm" template test helm/llmrun --kube-version $kube.0 --namespace models --values "$values" >"$out/$(basename "$values")"
done
"$python" validate.py $kube "$out"/*.yaml kserve/*.yaml --crds "$@"

# What does not fit together is refused with a reason.
refused() {
	want=$1
	shift
	if "$helm" template test helm/llmrun --kube-version $kube.0 "$@" >"$out/refused" 2>&1 || ! grep -q "$want" "$out/refused"; then
		echo "helm template $*: wanted it to be refused for: $want" && cat "$out/refused" && exit 1
	fi
}
set -- --set image.repository=registry.example/llmrun
refused "exactly one of plan.reference" "$@"
refused "exactly one of plan.reference" "$@" --set plan.reference=a,plan.claim=b
refused "plan.path is a path in plan.claim" "$@" --set plan.reference=a,plan.path=b
refused "image.repository" --set plan.reference=a
refused "more pods than ranks" "$@" --set plan.reference=a,ranks.pods=2
refused "ranks.secret" "$@" --set plan.reference=a,ranks.pods=2,ranks.tp=2
refused "share no model with other pods" "$@" --set plan.reference=a,ranks.pods=2,ranks.tp=2,ranks.secret=s,prefill.enabled=true
refused "prefill.keySecret" "$@" --set plan.reference=a,prefill.enabled=true,apiKeySecret=keys
refused "planz" "$@" --set planz.reference=a,plan.reference=a
echo "what does not fit together is refused"
