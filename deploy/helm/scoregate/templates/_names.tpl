{{- /* How are things called, and what do they carry? */}}

{{- define "scoregate.name" -}}
{{- if contains "scoregate" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-scoregate" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "scoregate.labels" -}}
app.kubernetes.io/name: scoregate
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- /* The Pods of one component: dict "root" . "component" "router". The autoscaler finds routers by name and component. */}}
{{- define "scoregate.selector" -}}
app.kubernetes.io/name: scoregate
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "scoregate.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "scoregate.tlsSecret" -}}
{{ .Values.sslSecret | default (printf "%s-tls" (include "scoregate.name" .)) }}
{{- end }}
