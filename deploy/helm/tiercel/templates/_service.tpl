{{- /*
A gRPC service of ours: a Deployment, its Service and its PodDisruptionBudget. Takes
  root       the chart's scope
  component  its name in the release: router, feedback, tier-<name>
  program    the Python package under services/
  own        what values.yaml says of it, over `defaults`
  settings   the settings that the chart decides, by their names in the service
  presets    settings that the chart would choose, and values.yaml may choose otherwise
  env        further env entries, as a list
  config     true if it reads tiers.toml
  headless   true for tiers: the router picks the replica
*/ -}}
{{- define "tiercel.service" -}}
{{- $own := mergeOverwrite (deepCopy .root.Values.defaults) (deepCopy .own) -}}
{{- $name := printf "%s-%s" (include "tiercel.fullname" .root) .component -}}
{{- $labels := include "tiercel.labels" . -}}
{{- $selector := include "tiercel.selector" . -}}
{{- $port := include "tiercel.port" .program | int -}}
{{- $metrics := .root.Values.metrics -}}
{{- $settings := dict "address" (printf "0.0.0.0:%d" $port) "log_json" true "log_level" .root.Values.logLevel "grace_s" $own.graceSeconds -}}
{{- if $metrics.enabled }}{{ $_ := set $settings "metrics_address" (printf "0.0.0.0:%v" $metrics.port) }}{{ end -}}
{{- if .config }}{{ $_ := set $settings "config" "/etc/tiercel/tiers.toml" }}{{ end -}}
{{- $settings = merge $settings .settings $own.settings (.presets | default dict) -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  labels: {{- $labels | nindent 4 }}
spec:
  replicas: {{ $own.replicas }}
  selector:
    matchLabels: {{- $selector | nindent 6 }}
  {{- if $own.gpus }}
  strategy: # no GPU is spare for a surge
    rollingUpdate: {maxSurge: 0, maxUnavailable: 1}
  {{- end }}
  template:
    metadata:
      labels: {{- $selector | nindent 8 }}
      {{- $annotations := $own.podAnnotations }}
      {{- if .config }}{{ $annotations = merge (dict "checksum/config" (include "tiercel.config" .root | sha256sum)) $annotations }}{{ end }}
      {{- with $annotations }}
      annotations: {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      automountServiceAccountToken: false
      enableServiceLinks: false # they would be read as settings: TIERCEL_<SERVICE>_PORT
      terminationGracePeriodSeconds: {{ add $own.preStopSeconds $own.graceSeconds 10 }}
      securityContext:
        runAsNonRoot: true
        runAsUser: 10001
        runAsGroup: 10001
        fsGroup: 10001
        seccompProfile: {type: RuntimeDefault}
      {{- range $field := list "serviceAccountName" "priorityClassName" "runtimeClassName" "nodeSelector" "tolerations" "affinity" }}
      {{- with get $own $field }}
      {{ $field }}: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- end }}
      {{- with .root.Values.imagePullSecrets }}
      imagePullSecrets: {{- toYaml . | nindent 8 }}
      {{- end }}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{- $selector | nindent 14 }}
          matchLabelKeys: [pod-template-hash]
      containers:
        - name: {{ .program }}
          image: "{{ $own.image.repository }}:{{ $own.image.tag | default .root.Chart.AppVersion }}"
          imagePullPolicy: {{ $own.image.pullPolicy }}
          command: [python, -m, services.{{ .program }}]
          env:
            - {name: HF_HOME, value: /var/cache/tiercel/huggingface}
            - {name: TIERCEL_CACHE, value: /var/cache/tiercel}
            {{- range $key, $value := $settings }}
            - {name: TIERCEL_{{ upper $key }}, value: {{ ternary $value (toJson $value) (kindIs "string" $value) | quote }}}
            {{- end }}
            {{- with concat (.env | default list) $own.extraEnv }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          ports:
            - {name: grpc, containerPort: {{ $port }}}
            {{- if $metrics.enabled }}
            - {name: metrics, containerPort: {{ $metrics.port }}}
            {{- end }}
          startupProbe:
            grpc: {port: {{ $port }}, service: readiness}
            periodSeconds: 5
            failureThreshold: {{ max 1 (ceil (divf $own.startupSeconds 5)) }}
          readinessProbe:
            grpc: {port: {{ $port }}, service: readiness}
            periodSeconds: 5
            timeoutSeconds: 3
            failureThreshold: 2
          livenessProbe:
            grpc: {port: {{ $port }}, service: liveness}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          {{- if $own.preStopSeconds }}
          lifecycle:
            preStop:
              sleep: {seconds: {{ $own.preStopSeconds }}}
          {{- end }}
          {{- $resources := deepCopy $own.resources }}
          {{- if $own.gpus }}{{ $resources = mergeOverwrite $resources (dict "limits" (dict $own.gpuResource $own.gpus)) }}{{ end }}
          resources: {{- toYaml $resources | nindent 12 }}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: {{ $own.readOnlyRootFilesystem }}
            capabilities: {drop: [ALL]}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            - {name: cache, mountPath: /var/cache/tiercel}
            {{- if .config }}
            - {name: config, mountPath: /etc/tiercel, readOnly: true}
            {{- end }}
      volumes:
        - name: tmp
          emptyDir: {}
        - name: cache
          {{- with $own.cache.existingClaim }}
          persistentVolumeClaim: {claimName: {{ . }}}
          {{- else }}
          emptyDir: {sizeLimit: {{ $own.cache.sizeLimit }}}
          {{- end }}
        {{- if .config }}
        - name: config
          configMap: {name: {{ include "tiercel.fullname" .root }}-config}
        {{- end }}
---
{{- $service := $own.service | default dict }}
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  labels: {{- $labels | nindent 4 }}
  {{- with $service.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- if .headless }}
  clusterIP: None
  {{- else }}
  type: {{ $service.type | default "ClusterIP" }}
  {{- end }}
  selector: {{- $selector | nindent 4 }}
  ports:
    - {name: grpc, port: {{ $port }}, targetPort: grpc, appProtocol: kubernetes.io/h2c}
{{- if $own.podDisruptionBudget.enabled }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $name }}
  labels: {{- $labels | nindent 4 }}
spec:
  maxUnavailable: {{ $own.podDisruptionBudget.maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- $selector | nindent 6 }}
{{- end }}
{{- end }}
