{{- /* What may each of them do? Only what it does: deploy/kubernetes/base/rbac.yaml has the same rules. */}}

{{- define "scoregate.routerRules" -}}
- apiGroups: [scoregate.io]
  resources: [inferenceendpoints]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [pods, secrets]
  verbs: [get, list, watch]
- apiGroups: [apps]
  resources: [deployments, statefulsets]
  verbs: [get, list, watch]
{{- end }}

{{- define "scoregate.autoscalerRules" -}}
{{ include "scoregate.routerRules" . }}
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch]
- apiGroups: [scoregate.io]
  resources: [inferenceendpoints/status]
  verbs: [patch]
- apiGroups: [apps]
  resources: [deployments/scale, statefulsets/scale]
  verbs: [get, patch]
# The pod-deletion-cost of those that should leave first.
- apiGroups: [""]
  resources: [pods]
  verbs: [patch]
# Missing keys; what changed in a condition.
- apiGroups: [""]
  resources: [secrets, events]
  verbs: [create]
{{- end }}

{{- define "scoregate.homeRules" -}}
# Which one leads. A name can't be asked of what is yet to be created.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [scoregate-autoscaler]
  verbs: [get, update]
# Where the routers are, whose load it reads.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
{{- end }}
