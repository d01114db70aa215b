"""Plain processes of this machine in a private folder."""
