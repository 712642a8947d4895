"""Benchmarks of Vitrine: `make bench` and `make bench-images`. docs/benchmarks.md explains the results."""
