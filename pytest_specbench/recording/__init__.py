"""What a trial leaves: the artifact folder, the journal of what the agent did, ATIF and asciicast."""
