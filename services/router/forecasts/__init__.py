"""What is predicted of plans for a request: seconds by measurements, quality by a predictor."""
