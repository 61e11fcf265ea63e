"""Speculative decoding over services: sessions, links to drafters, and the serving of drafts."""
