"""One call, attempt by attempt: every decision, and how it ends."""
