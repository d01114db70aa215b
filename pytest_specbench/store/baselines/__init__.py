"""The approved records, their audit trail, and who may add to it."""
