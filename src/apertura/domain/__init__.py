"""What is true: money, prices, funds, keys, routes. Functions from values to values."""
