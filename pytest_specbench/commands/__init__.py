"""The commands of `specbench` that do not run pytest: one file a subject."""
