"""The smoke test of a deployed stage: ``make smoke URL=https://… TOKEN=…``."""
