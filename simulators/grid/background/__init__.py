"""What a network's own loads, generators and storage do while a study runs."""
