"""The journal of a session as frozen values: prompts drawn, drafts, events, state."""
