{{- /* How are things called, and what do they carry? */}}

{{- define "scoregate.name" -}}
{{- $release := .Release.Name | replace "." "-" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains "scoregate" $release -}}
{{- $release | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-scoregate" ($release | trunc 30 | trimSuffix "-") -}}
{{- end -}}
{{- end }}

{{- define "scoregate.labels" -}}
app.kubernetes.io/name: scoregate
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
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

{{- /* The Secret with the installation's own secrets. */}}
{{- define "scoregate.vault" -}}
{{ include "scoregate.name" . }}-vault
{{- end }}
