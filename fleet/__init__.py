"""The fleet in view: every service of this template in one table and one page, and one update for all of them.

`python -m fleet --help` has the command line, `docs/fleet.md` what it says and means. It reads; only `--update` writes,
and only `--update --trust` runs code that stands in a service.
"""
