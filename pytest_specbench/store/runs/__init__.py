"""The history of runs: artifact folders, and an index that is made from them."""
