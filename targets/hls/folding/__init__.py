"""How many lanes each layer works on at once: chosen to meet a goal within a budget, or read from the user's file."""
