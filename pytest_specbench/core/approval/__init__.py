"""What maintainers decide, as pure rules: when a run may become a baseline, its record, and the audit trail."""
