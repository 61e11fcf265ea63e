"""Tiercel: the library that the four services share. It knows no service."""
