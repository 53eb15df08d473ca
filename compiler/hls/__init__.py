"""From a model to a project for high-level synthesis, and back through its C simulation."""
