"""What one pytest session knows of its scenarios."""
