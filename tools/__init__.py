"""What a person runs on this project; none of it is deployed."""
