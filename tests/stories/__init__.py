"""Whole stories, told in running houses."""
