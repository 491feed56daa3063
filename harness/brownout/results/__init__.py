"""What runs found, over time: recorded in one store, compared between revisions."""
