"""What every slice of the service is built with: who calls, what they may do, how errors look on the wire."""
