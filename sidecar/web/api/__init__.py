"""The vending listener: what apps ask, and what they are answered."""
