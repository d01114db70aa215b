"""What is run: scenario files, their fixtures, and the datasets that hold them."""
