"""One module a resource. These files are yours."""
