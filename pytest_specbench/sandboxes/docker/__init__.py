"""Containers. `backend` makes them, `sandbox` is one of them, and the other modules are its parts."""
