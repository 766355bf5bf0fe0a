"""Measures what a partner does not document, with real calls on a staging account."""
