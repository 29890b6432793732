"""The stories, each told from start to end and safe to tell twice. A job's arguments are ids, never content."""
