"""What runs inside the emulator's process, by its own Python: around ministack, never in its files."""
