{{- /* What can this version not do? Goes, with this file, once the router ends TLS. */}}

{{- define "scoregate.notYet" -}}
{{- if not .Values.allowInsecureConnections -}}
{{- fail "this version serves plain HTTP only: set allowInsecureConnections=true and end TLS in front of it, at an ingress or a load balancer; never send keys over plain HTTP across a network that others share" -}}
{{- end -}}
{{- end }}
