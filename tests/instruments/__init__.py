"""Run in an environment with the SDKs that operators install, for `test_instruments.py`."""
