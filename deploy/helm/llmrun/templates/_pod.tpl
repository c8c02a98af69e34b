{{- /* The spec of a pod. It is given the chart's context and a component: server, prefill for one that takes prompts in for those, or rank for a pod of a LeaderWorkerSet
that takes no requests. */ -}}
{{- define "llmrun.pod" -}}
{{- $server := ne .component "rank" -}}
{{- $asks := and .context.Values.prefill.enabled (eq .component "server") -}}
{{- $component := .component -}}
{{- with .context -}}
serviceAccountName: {{ include "llmrun.serviceAccount" . }}
automountServiceAccountToken: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
terminationGracePeriodSeconds: {{ add .Values.drain.preStopSeconds .Values.drain.timeoutSeconds 15 }}
containers:
  - name: llmrun
    image: {{ include "llmrun.image" . }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    args:
      - serve
      - {{ include "llmrun.plan" . }}
      - --host=0.0.0.0
      - --port={{ .Values.port }}
      {{- if .Values.grpc.enabled }}
      - --grpc-port={{ .Values.grpc.port }}
      {{- end }}
      - --shutdown-timeout={{ .Values.drain.timeoutSeconds }}s
      {{- with .Values.servedModelName }}
      - --served-model-name={{ . }}
      {{- end }}
      {{- if gt (int (mul .Values.ranks.tp .Values.ranks.pp)) 1 }}
      - --tp={{ .Values.ranks.tp }}
      - --pp={{ .Values.ranks.pp }}
      {{- end }}
      {{- if .Values.apiKeySecret }}
      - --api-key-file=/keys/keys
      - --open-metrics
      {{- end }}
      {{- if .Values.tlsSecret }}
      - --tls-cert=/tls/tls.crt
      - --tls-key=/tls/tls.key
      {{- end }}
      {{- if .Values.signaturePolicy }}
      - --require-signature=/policy/policy.json
      {{- end }}
      {{- if eq $component "prefill" }}
      - --serve-prefill
      {{- end }}
      {{- if $asks }}
      - --prefill-url={{ ternary "https" "http" (ne .Values.tlsSecret "") }}://{{ include "llmrun.name" . }}-prefill:{{ .Values.port }}
      - --prefill-min-tokens={{ .Values.prefill.minTokens }}
      {{- if .Values.prefill.keySecret }}
      - --prefill-key-file=/prefill/key
      {{- end }}
      {{- with .Values.prefill.caKey }}
      - --prefill-ca-file=/tls/{{ . }}
      {{- end }}
      {{- end }}
      {{- range .Values.args }}
      - {{ . | quote }}
      {{- end }}
    env:
      {{- if .Values.registrySecret }}
      - name: DOCKER_CONFIG
        value: /registry
      {{- end }}
      {{- if .Values.ranks.secret }}
      - name: LLMRUN_RANK_SECRET
        valueFrom:
          secretKeyRef:
            name: {{ .Values.ranks.secret }}
            key: secret
      {{- end }}
      {{- with .Values.env }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- if $server }}
    ports:
      - name: http
        containerPort: {{ .Values.port }}
      {{- if .Values.grpc.enabled }}
      - name: grpc
        containerPort: {{ .Values.grpc.port }}
      {{- end }}
    {{- $scheme := ternary "HTTPS" "HTTP" (ne .Values.tlsSecret "") }}
    startupProbe:
      httpGet: {path: /startupz, port: http, scheme: {{ $scheme }}}
      periodSeconds: 2
      failureThreshold: {{ div (add .Values.startupSeconds 1) 2 }}
    readinessProbe:
      httpGet: {path: /readyz, port: http, scheme: {{ $scheme }}}
      periodSeconds: 5
      failureThreshold: 2
    livenessProbe:
      httpGet: {path: /livez, port: http, scheme: {{ $scheme }}}
      periodSeconds: 15
      timeoutSeconds: 5
      failureThreshold: 3
    lifecycle:
      preStop:
        sleep:
          seconds: {{ .Values.drain.preStopSeconds }}
    {{- end }}
    {{- with .Values.resources }}
    resources: {{ toYaml . | nindent 6 }}
    {{- end }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop: [ALL]
    volumeMounts:
      - name: cache
        mountPath: /cache
      - name: tmp
        mountPath: /tmp
      {{- if not .Values.plan.reference }}
      - name: plan
        mountPath: /plan
        readOnly: true
      {{- end }}
      {{- if .Values.registrySecret }}
      - name: registry
        mountPath: /registry
        readOnly: true
      {{- end }}
      {{- if .Values.apiKeySecret }}
      - name: keys
        mountPath: /keys
        readOnly: true
      {{- end }}
      {{- if and $asks .Values.prefill.keySecret }}
      - name: prefill
        mountPath: /prefill
        readOnly: true
      {{- end }}
      {{- if .Values.tlsSecret }}
      - name: tls
        mountPath: /tls
        readOnly: true
      {{- end }}
      {{- if .Values.signaturePolicy }}
      - name: policy
        mountPath: /policy
        readOnly: true
      {{- end }}
volumes:
  - name: cache
    {{- if .Values.cache.claim }}
    persistentVolumeClaim:
      claimName: {{ .Values.cache.claim }}
    {{- else }}
    emptyDir:
      sizeLimit: {{ .Values.cache.size }}
    {{- end }}
  - name: tmp
    emptyDir: {}
  {{- if .Values.plan.image }}
  - name: plan
    image:
      reference: {{ .Values.plan.image }}
      pullPolicy: {{ .Values.image.pullPolicy }}
  {{- else if .Values.plan.claim }}
  - name: plan
    persistentVolumeClaim:
      claimName: {{ .Values.plan.claim }}
      readOnly: true
  {{- end }}
  {{- if .Values.registrySecret }}
  - name: registry
    secret:
      secretName: {{ .Values.registrySecret }}
      items:
        - key: .dockerconfigjson
          path: config.json
  {{- end }}
  {{- if .Values.apiKeySecret }}
  - name: keys
    secret:
      secretName: {{ .Values.apiKeySecret }}
  {{- end }}
  {{- if and $asks .Values.prefill.keySecret }}
  - name: prefill
    secret:
      secretName: {{ .Values.prefill.keySecret }}
  {{- end }}
  {{- if .Values.tlsSecret }}
  - name: tls
    secret:
      secretName: {{ .Values.tlsSecret }}
  {{- end }}
  {{- if .Values.signaturePolicy }}
  - name: policy
    configMap:
      name: {{ include "llmrun.name" . }}-policy
  {{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.topologySpreadConstraints }}
topologySpreadConstraints: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- end -}}
{{- end -}}

{{- define "llmrun.podTemplate" -}}
metadata:
  labels:
    {{- include "llmrun.labels" .context | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
    {{- with .context.Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- if or .context.Values.signaturePolicy .context.Values.podAnnotations }}
  annotations:
    {{- with .context.Values.signaturePolicy }}
    checksum/policy: {{ toJson . | sha256sum }}
    {{- end }}
    {{- with .context.Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
spec:
  {{- include "llmrun.pod" . | nindent 2 }}
{{- end -}}
