"""The main job of a deployed stage, walked from outside: ``make smoke URL=https://… TOKEN=…``."""
