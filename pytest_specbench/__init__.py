"""pytest-specbench: scenarios for terminal agents as pytest items, judged against approved baselines."""

__version__ = "0.1.0"
