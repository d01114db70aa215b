"""What a trusted git ref says, and how the work tree differs from it."""
