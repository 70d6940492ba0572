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
env:
- name: SCOREGATE_NAMESPACE
  valueFrom:
    fieldRef: {fieldPath: metadata.namespace}
- {name: SCOREGATE_VAULT, value: {{ include "scoregate.vault" . }}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
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
