"""The orchestrator: drives a model through Spec Kit's stages, with a gate between each and the next."""
