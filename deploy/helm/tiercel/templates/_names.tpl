{{- /* Names and labels. A tier's objects are <fullname>-tier-<name>, so that no name of a tier clashes. */ -}}

{{- define "tiercel.fullname" -}}
{{- $name := ternary .Release.Name (printf "%s-tiercel" .Release.Name) (contains "tiercel" .Release.Name) -}}
{{- $name | trunc 36 | trimSuffix "-" -}}
{{- end }}

{{- define "tiercel.selector" -}}
app.kubernetes.io/name: tiercel
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "tiercel.labels" -}}
{{ include "tiercel.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "tiercel.port" -}}
{{- get (dict "router" "50050" "verifier" "50051" "drafter" "50061" "feedback" "50070") . -}}
{{- end }}

{{- define "tiercel.valkeySecret" -}}
{{- .Values.feedback.valkey.existingSecret | default (printf "%s-valkey" (include "tiercel.fullname" .)) -}}
{{- end }}
