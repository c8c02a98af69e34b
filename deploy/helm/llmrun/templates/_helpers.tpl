{{- define "llmrun.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "llmrun.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "llmrun.labels" -}}
{{ include "llmrun.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- /* Pods that take requests: all of a Deployment, of a LeaderWorkerSet the leaders. */ -}}
{{- define "llmrun.serverSelector" -}}
{{ include "llmrun.selector" . }}
app.kubernetes.io/component: server
{{- end -}}

{{- define "llmrun.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "llmrun.name" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- define "llmrun.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- /* What the values must agree on. */ -}}
{{- define "llmrun.check" -}}
{{- $sources := list .Values.plan.reference .Values.plan.image .Values.plan.claim | compact -}}
{{- if ne (len $sources) 1 -}}
{{- fail "plan: exactly one of plan.reference, plan.image and plan.claim must be given" -}}
{{- end -}}
{{- if and .Values.plan.path (not .Values.plan.claim) -}}
{{- fail "plan.path is a path in plan.claim, which is not given" -}}
{{- end -}}
{{- if not .Values.image.repository -}}
{{- fail "image.repository: where the image of llmrun is must be given (make image)" -}}
{{- end -}}
{{- if gt (int .Values.ranks.pods) (int (mul .Values.ranks.tp .Values.ranks.pp)) -}}
{{- fail "ranks.pods: there are more pods than ranks (ranks.tp times ranks.pp)" -}}
{{- end -}}
{{- if and (gt (int .Values.ranks.pods) 1) (not .Values.ranks.secret) -}}
{{- fail "ranks.secret: pods that share a model need a secret to know each other by" -}}
{{- end -}}
{{- if and .Values.prefill.enabled (gt (int .Values.ranks.pods) 1) -}}
{{- fail "prefill: pods that take prompts in for others share no model with other pods yet (ranks.pods)" -}}
{{- end -}}
{{- if and .Values.prefill.enabled .Values.apiKeySecret (not .Values.prefill.keySecret) -}}
{{- fail "prefill.keySecret: where keys are needed (apiKeySecret), pods need one to ask each other by" -}}
{{- end -}}
{{- end -}}

{{- define "llmrun.plan" -}}
{{- if .Values.plan.reference -}}
oci://{{ trimPrefix "oci://" .Values.plan.reference }}
{{- else if .Values.plan.image -}}
/plan/models
{{- else -}}
/plan{{ with .Values.plan.path }}/{{ trimPrefix "/" . }}{{ end }}
{{- end -}}
{{- end -}}
