"""Clients of the services: domain objects in, domain objects and domain errors out."""
