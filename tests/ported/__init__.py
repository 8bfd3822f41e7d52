"""Tests of code that people write, with its real libraries: they run inside an emitted service called `svc`."""
