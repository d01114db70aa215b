"""BenchmarkRun -> terminal, JSON and Markdown. Never imports pytest."""
