{{- define "modelscaler.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "modelscaler.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "modelscaler.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "modelscaler.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "modelscaler.selectorLabels" -}}
app.kubernetes.io/name: {{ include "modelscaler.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* managed-by is Helm here: "modelscaler" marks what the operator itself makes. */}}
{{- define "modelscaler.labels" -}}
{{ include "modelscaler.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "modelscaler.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "modelscaler.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "modelscaler.leaseName" -}}
{{- default (include "modelscaler.fullname" .) .Values.leaderElection.leaseName }}
{{- end }}

{{- /* Takes a dict of image and defaultTag. */}}
{{- define "modelscaler.image" -}}
{{- if .image.digest }}
{{- printf "%s@%s" .image.repository .image.digest }}
{{- else }}
{{- printf "%s:%s" .image.repository (default .defaultTag .image.tag) }}
{{- end }}
{{- end }}

{{- /* What the operator may do in the namespaces it manages: exactly the calls it makes, by name. */}}
{{- define "modelscaler.rules" -}}
- apiGroups: [modelscaler.dev]
  resources: [modeldeployments]
  verbs: [get, list, watch]
- apiGroups: [modelscaler.dev]
  resources: [modeldeployments/status]
  verbs: [patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
# Services go with their ModelDeployment, by owner reference: the garbage collector deletes them, not the operator.
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
# Capacity profiles, each read by the name a ModelDeployment gives; and the ladders that servers read: whose one is, before it is applied.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, create, patch]
# To refuse a workload that somebody else already scales.
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [list]
# How many accelerators a namespace may have, where ModelDeployments share them.
- apiGroups: [""]
  resources: [resourcequotas]
  verbs: [list]
{{- if and (not .Values.watchNamespace) (eq .Values.accelerators.supply "Existing") }}
# And how many there are. Nodes are the cluster's: installed for one namespace the operator does not look at them.
- apiGroups: [""]
  resources: [nodes]
  verbs: [list]
{{- end }}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- if .Values.gatewayAPI.enabled }}
# Routes that share requests between two pools, for ModelDeployments with spec.serving.gateway.
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, create, patch, delete]
{{- end }}
{{- end }}
