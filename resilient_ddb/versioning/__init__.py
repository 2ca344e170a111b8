"""Optimistic locking, and updates that can be repeated."""
