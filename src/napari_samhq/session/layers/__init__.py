"""The layers of a session in the viewer: prompts, preview, and where they lie."""
