"""What an agent may run unattended: the approval modes, the commands they know, and shell text taken apart for that."""
