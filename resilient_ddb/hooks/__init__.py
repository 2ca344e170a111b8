"""Where all this hangs in botocore: the handlers on its events, and the client as they know it."""
