"""Connections to DynamoDB for plain requests: one strict parser, and a session each for sync and async clients."""
