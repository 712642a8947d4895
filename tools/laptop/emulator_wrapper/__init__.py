"""The program of the emulator's process: it starts ministack, and changes at run time how it works."""
