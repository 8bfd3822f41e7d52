"""Tests of `hooks/post_generate.py`."""
