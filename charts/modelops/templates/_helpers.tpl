{{- define "modelops.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- /* Cluster-scoped objects carry it too, so two releases in one cluster do not meet. */ -}}
{{- define "modelops.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "modelops.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "modelops.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "modelops.selector" -}}
app.kubernetes.io/name: {{ include "modelops.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "modelops.labels" -}}
{{ include "modelops.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "modelops.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "modelops.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name must be set when serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- /* The name by which the API server knows the operator. */ -}}
{{- define "modelops.user" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "modelops.serviceAccount" . }}
{{- end -}}

{{- /* (list $ "operator") gives registry/repository:tag or @digest. */ -}}
{{- define "modelops.image" -}}
{{- $root := index . 0 -}}
{{- $image := index $root.Values.images (index . 1) -}}
{{- with $root.Values.images.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest -}}@{{ $image.digest }}
{{- else -}}:{{ coalesce $image.tag $root.Values.images.tag $root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "modelops.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "modelops.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "modelops.pullSecrets" -}}
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end -}}

{{- /* Ours that live in a namespace, as RBAC names them. */ -}}
{{- define "modelops.delivered" -}}
[datasets, trainingruns, modelreleases, metrictemplates]
{{- end -}}

{{- /* Of what the uninstall Job needs: made before it, gone with it. */ -}}
{{- define "modelops.firstHook" -}}
helm.sh/hook: pre-delete
helm.sh/hook-weight: "-1"
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{- /* (list $ "gitsources") binds that policy where the operator watches. */ -}}
{{- define "modelops.binding" -}}
{{- $root := index . 0 -}}
{{- $policy := printf "%s-%s" (include "modelops.fullname" $root) (index . 1) -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ $policy }}
  labels: {{- include "modelops.labels" $root | nindent 4 }}
spec:
  policyName: {{ $policy }}
  validationActions: [{{ $root.Values.admission.action }}]
  {{- if eq (index . 1) "pools" }}
  # Every pool is looked at; with none there is nothing to say.
  paramRef: {selector: {}, parameterNotFoundAction: Allow}
  {{- end }}
  {{- with $root.Values.watchNamespace }}
  matchResources:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: {{ . }}}}
  {{- end }}
{{- end -}}
