{{- /* What may each of them do? Only what it does: deploy/kubernetes/base/rbac.yaml has the same rules. */}}

{{- define "scoregate.readRules" -}}
- apiGroups: [scoregate.io]
  resources: [inferenceendpoints]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [pods, secrets]
  verbs: [list, watch]
- apiGroups: [apps]
  resources: [deployments, statefulsets]
  verbs: [list, watch]
{{- end }}

{{- define "scoregate.routerRules" -}}
{{ include "scoregate.readRules" . }}
{{- if .Values.administration.enabled }}
# What administrators change. Traffic, and numbers of replicas set by hand: in the InferenceEndpoint.
- apiGroups: [scoregate.io]
  resources: [inferenceendpoints]
  verbs: [get, patch]
# A replica that is drained: through the status, for who may patch Pods may change images.
- apiGroups: [""]
  resources: [pods/status]
  verbs: [patch]
# Keys. Rights can't be limited to a type: this one is for every Secret.
- apiGroups: [""]
  resources: [secrets]
  verbs: [patch]
{{- end }}
{{- end }}

{{- define "scoregate.autoscalerRules" -}}
{{ include "scoregate.readRules" . }}
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [list, watch]
- apiGroups: [scoregate.io]
  resources: [inferenceendpoints/status]
  verbs: [patch]
- apiGroups: [apps]
  resources: [deployments/scale, statefulsets/scale]
  verbs: [get, patch]
# The pod-deletion-cost of those that should leave first: through the status, for who may patch Pods may change images.
- apiGroups: [""]
  resources: [pods/status]
  verbs: [patch]
# What changed in a condition.
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- if .Values.autoscaler.createKeys }}
# Missing keys; of what type a Secret is that has their name.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create, get]
{{- end }}
{{- end }}

{{- define "scoregate.routerHomeRules" -}}
# The installation's own secrets, in this one Secret. To list and watch by this name is a right to it alone.
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ include "scoregate.vault" . }}]
  verbs: [get, list, watch, patch]
# Where the routers are.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
{{- end }}

{{- define "scoregate.autoscalerHomeRules" -}}
{{ include "scoregate.routerHomeRules" . }}
# Which one leads. A name can't be asked of what is yet to be created.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [scoregate-autoscaler]
  verbs: [get, update]
{{- if include "scoregate.selfScales" . }}
# The routers' own size: workers are in the Pod template, Pods in the scale. What else scales it is left alone.
- apiGroups: [apps]
  resources: [deployments, deployments/scale]
  resourceNames: [{{ include "scoregate.name" . }}-router]
  verbs: [get, patch]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [list]
{{- end }}
{{- end }}
