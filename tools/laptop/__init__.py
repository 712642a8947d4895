"""Run the whole system on this machine (`make run`)."""
