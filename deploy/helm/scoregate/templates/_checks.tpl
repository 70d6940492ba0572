{{- /* Which values can't be together? What a single value may be is in values.schema.json. */}}

{{- define "scoregate.checks" -}}
{{- include "scoregate.notYet" . -}}
{{- with .Values -}}
{{- $tls := or .sslSecret .sslCertPemFile .sslKeyPemFile .sslCname -}}
{{- if and .allowInsecureConnections $tls -}}
{{- fail "sslSecret, sslCertPemFile, sslKeyPemFile and sslCname are for HTTPS, but allowInsecureConnections=true serves plain HTTP: leave them out" -}}
{{- end -}}
{{- if not .allowInsecureConnections -}}
{{- if not .sslCname -}}
{{- fail "sslCname is required unless allowInsecureConnections=true: the name in the certificate" -}}
{{- end -}}
{{- if and .sslSecret (or .sslCertPemFile .sslKeyPemFile) -}}
{{- fail "sslSecret is given beside sslCertPemFile or sslKeyPemFile, but it must be one way or the other" -}}
{{- end -}}
{{- if not (or .sslSecret (and .sslCertPemFile .sslKeyPemFile)) -}}
{{- fail "HTTPS needs a certificate: sslSecret, or both sslCertPemFile and sslKeyPemFile (--set-file)" -}}
{{- end -}}
{{- end -}}
{{- if ne .inferenceRouterServiceType "loadBalancer" -}}
{{- if .internalLoadBalancerProvider -}}
{{- fail (printf "internalLoadBalancerProvider is %s, but inferenceRouterServiceType is %s: it needs loadBalancer" .internalLoadBalancerProvider .inferenceRouterServiceType) -}}
{{- end -}}
{{- if .loadBalancerSourceRanges -}}
{{- fail (printf "loadBalancerSourceRanges is given, but inferenceRouterServiceType is %s: it needs loadBalancer" .inferenceRouterServiceType) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
