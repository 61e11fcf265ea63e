"""The feedback service: learns from outcomes, keeps it in Redis, pushes it to the routers."""
