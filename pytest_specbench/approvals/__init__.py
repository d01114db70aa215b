"""What maintainers decide: a run becomes the baseline, a baseline retires, a regression is known."""
