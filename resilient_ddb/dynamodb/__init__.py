"""What DynamoDB defines: operations, expressions, keys, sizes, descriptions of tables."""
