"""The rim on boto3. It decides nothing: what is pure says which requests come next, and this sends them."""
