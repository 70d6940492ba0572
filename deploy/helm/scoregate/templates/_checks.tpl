{{- /* Which values can't be together? What a single value may be is in values.schema.json. */}}

{{- define "scoregate.checks" -}}
{{- include "scoregate.nameCheck" . -}}
{{- include "scoregate.neighbours" . -}}
{{- include "scoregate.optionChecks" . -}}
{{- include "scoregate.sizeCheck" . -}}
{{- with .Values -}}
{{- $tls := or .sslSecret .sslCertPemFile .sslKeyPemFile .sslCname .sslClientCaSecret (eq .plainHttp "redirect") -}}
{{- if and .allowInsecureConnections $tls -}}
{{- fail "sslSecret, sslCertPemFile, sslKeyPemFile, sslCname, sslClientCaSecret and plainHttp=redirect are for HTTPS, but allowInsecureConnections=true serves plain HTTP: leave them out" -}}
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

{{- /* The last one of two counts, and others rely on those of the chart: probes, the Service, the autoscaler. */}}
{{- define "scoregate.optionChecks" -}}
{{- range concat .Values.extraArgs .Values.autoscaler.extraArgs -}}
{{- if regexMatch "^--(platform|state-dir|namespaces|(admin-|peer-)?(host|port)|tls-dir|tls-port|workers|max-workers|self-scaling|router-deployment|(min|max)-routers|max-router-workers|route-(mean|p99)-ms)(=|$)" . -}}
{{- fail (printf "extraArgs has %s, but the chart sets it: leave it out" .) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "scoregate.sizeCheck" -}}
{{- $fewest := include "scoregate.fewestRouters" . | int -}}
{{- if and (include "scoregate.selfScales" .) (lt (int .Values.selfScaling.maxRouters) $fewest) -}}
{{- fail (printf "selfScaling.maxRouters is %v, but inferenceRouterHA wants %d routers: it must be at least as many" .Values.selfScaling.maxRouters $fewest) -}}
{{- end -}}
{{- end }}

{{- define "scoregate.nameCheck" -}}
{{- $name := include "scoregate.name" . -}}
{{- if not (regexMatch "^[a-z]" $name) -}}
{{- fail (printf "the release is called %s, and %s can't be the name of a Service, which begins with a letter: choose another, or set fullnameOverride" .Release.Name $name) -}}
{{- end -}}
{{- end }}

{{- /* Asks the cluster; `helm template` has none to ask. */}}
{{- define "scoregate.neighbours" -}}
{{- range (lookup "apps/v1" "Deployment" .Release.Namespace "").items -}}
{{- $labels := .metadata.labels | default dict -}}
{{- $is := eq (get $labels "app.kubernetes.io/name") "scoregate" -}}
{{- if and $is (ne (get $labels "app.kubernetes.io/instance") $.Release.Name) -}}
{{- fail (printf "namespace %s has Scoregate already (Deployment %s): two in one namespace would share one Lease, and count each other's routers; give this one a namespace of its own" $.Release.Namespace .metadata.name) -}}
{{- end -}}
{{- end -}}
{{- end }}
