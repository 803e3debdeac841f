"""What is predicted, how it is learnt and how it is scored."""
