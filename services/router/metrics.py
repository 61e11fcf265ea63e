"""What Prometheus can ask the router."""

from prometheus_client import Counter, Gauge, Histogram

num_requests = Counter(
    "tiercel_router_requests", "Requests ended, by plan and why", ["plan", "reason"]
)
time_to_first_token = Histogram(
    "tiercel_router_time_to_first_token_seconds", "Arrival to first committed token", ["plan"]
)
num_queued = Gauge("tiercel_router_queued", "Requests waiting for their turn")
num_failovers = Counter(
    "tiercel_router_failovers", "Replicas lost in mid-answer, by tier", ["tier"]
)
num_escalations = Counter(
    "tiercel_router_escalations", "Plans overruled in mid-answer, and by which", ["plan", "next"]
)
num_replans = Counter(
    "tiercel_router_replans", "Plans changed below the root in mid-answer, by named plan", ["plan"]
)
num_residency_changes = Counter(
    "tiercel_router_residency_changes",
    "Models that this router had loaded or unloaded, by tier and the state then",
    ["tier", "state"],
)
resident_bytes = Gauge(
    "tiercel_router_resident_bytes",
    "Memory that models take, by machine with a budget",
    ["machine"],
)
num_drafters_lost = Counter(
    "tiercel_router_drafters_lost", "Drafters that a verifier lost, by tier", ["tier"]
)
num_trial_faults = Counter(
    "tiercel_router_trial_faults", "Times that a policy on trial failed, by policy", ["policy"]
)
num_dropped_outcomes = Counter(
    "tiercel_router_dropped_outcomes", "Outcomes that feedback could not be told in time"
)
num_dropped_decisions = Counter(
    "tiercel_router_dropped_decisions", "Decisions that the decision log had no place for"
)
policy_version = Gauge("tiercel_router_policy_version", "Version of the learned policy in force")
policy_heard = Gauge(
    "tiercel_router_policy_heard_seconds", "When feedback last told a policy, seconds since 1970"
)
cost_weight = Gauge(
    "tiercel_router_cost_weight",
    "Learned quality that a unit of cost is worth, to keep the budget; 0 without one",
)
num_spooled = Gauge("tiercel_router_spooled_outcomes", "Outcomes that wait on disk for feedback")
num_draft_scores = Counter(
    "tiercel_router_draft_scores",
    "Tiers asked what they would have drafted, and what came of it",
    ["tier", "result"],
)
num_studies = Counter(
    "tiercel_router_studies", "Answers studied off the requests' path, and how", ["study", "result"]
)
num_audits = Counter(
    "tiercel_router_audits",
    "Answers audited, by rule, purpose (certifying or running) and result (harmed or unharmed)",
    ["rule", "purpose", "result"],
)
