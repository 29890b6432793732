"""What the vendors' own libraries sign and accept: vectors they made, and the libraries themselves where installed."""
