"""The stage: every integration's understudy on one machine, the cast that plays on it, and the story told there.

The understudies live with their integrations (`integrations/**/sandbox`); here is what brings them together.
"""
