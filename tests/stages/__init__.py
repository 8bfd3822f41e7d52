"""Tests of `template/verify/`'s stages."""
