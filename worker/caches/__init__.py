"""What a worker keeps of files, URLs, paths and users, by key, and what a request holds of it."""
