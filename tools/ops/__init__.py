"""The operator's commands for a running stage: ``python -m tools.ops --stage dev --help``."""
