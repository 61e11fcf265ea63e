"""The router: decides which plan answers, watches it, repairs it; the control plane."""
