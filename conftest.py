"""Root configuration of the project's own tests; pytest wants `pytest_plugins` here."""

pytest_plugins = ["pytester"]
