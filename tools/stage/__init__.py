"""Create, configure, package and delete a stage."""
