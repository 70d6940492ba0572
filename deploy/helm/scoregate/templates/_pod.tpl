{{- /* What have the Pods of routers and autoscalers in common? */}}

{{- define "scoregate.pod" -}}
# A Service called scoregate would put SCOREGATE_PORT=tcp://... into the environment, where options are read.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "scoregate.container" -}}
image: {{ include "scoregate.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
env:
- name: SCOREGATE_NAMESPACE
  valueFrom:
    fieldRef: {fieldPath: metadata.namespace}
- name: SCOREGATE_POD
  valueFrom:
    fieldRef: {fieldPath: metadata.name}
- {name: SCOREGATE_VAULT, value: {{ include "scoregate.vault" . }}}
{{- end }}

{{- /* Not empty where the autoscaler changes the routers' size. */}}
{{- define "scoregate.selfScales" -}}
{{- if and .Values.autoscaler.enabled .Values.selfScaling.enabled (ne .Values.clusterPurpose "DevTest") }}on{{ end -}}
{{- end }}

{{- define "scoregate.fewestRouters" -}}
{{ ternary 3 1 .Values.inferenceRouterHA }}
{{- end }}

{{- /* An upgrade does not take away Pods that the load asked for: more than three are there for nothing else. Asks the
cluster; `helm template` has none to ask. */}}
{{- define "scoregate.routers" -}}
{{- $fewest := include "scoregate.fewestRouters" . | int -}}
{{- $name := printf "%s-router" (include "scoregate.name" .) -}}
{{- $present := lookup "apps/v1" "Deployment" .Release.Namespace $name -}}
{{- $asked := ternary (int ($present.spec | default dict).replicas) 0 (ne (include "scoregate.selfScales" .) "") -}}
{{- if gt $asked 3 -}}
{{ min $asked .Values.selfScaling.maxRouters | int }}
{{- else -}}
{{ $fewest }}
{{- end -}}
{{- end }}

{{- define "scoregate.clusterArgs" -}}
- --platform=kubernetes
- --state-dir=/var/lib/scoregate
{{- with .Values.watchNamespaces }}
- --namespaces={{ join "," . }}
{{- end }}
{{- if not .Values.adoptV1 }}
- --no-adopt-v1
{{- end }}
{{- end }}
