"""What the feedback service counts, for Prometheus.

Results are applied, duplicate, failed (the store is away) and refused (the request is bad).
"""

from prometheus_client import Counter, Gauge

events = Counter(
    "tiercel_feedback_events",
    "Outcomes, scores and audits reported, by result",
    ["result"],
)
ratings = Counter("tiercel_feedback_ratings", "Ratings given, by result", ["result"])
num_trials_ended = Counter(
    "tiercel_feedback_trials_ended", "Policies on trial that were rolled back", ["policy"]
)
drift = Gauge("tiercel_feedback_drift", "The clearest sign of drift, as a part of what is an alarm")
num_drift_alarms = Counter(
    "tiercel_feedback_drift_alarms",
    "Times that learning was frozen by drift, by signal",
    ["signal"],
)
store_up = Gauge("tiercel_feedback_store_up", "1 if Redis answered the last command")
policy_version = Gauge("tiercel_feedback_policy_version", "Version of the policy last read")
num_pairs = Gauge("tiercel_feedback_pairs", "Pairs and kinds with evidence enough to be pushed")
num_watchers = Gauge("tiercel_feedback_watchers", "Watch streams open now")
