"""What an operator does with a stage that runs: ``python -m tools.ops --stage dev --help``."""
