"""Tests of the template: what it asks, what it emits, and whether what it emits works."""
