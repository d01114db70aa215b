"""From a scenario to its verdict: `recipe` is the course, and each of its steps has a module."""
