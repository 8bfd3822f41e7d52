"""This service. It begins in `app.py`, its routes are in `routes/`; `hardening/` is owned by the template."""
