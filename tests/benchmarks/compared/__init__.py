"""What becomes of calls in the same faults, with boto3, with other libraries, and with ours."""
